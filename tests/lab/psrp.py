# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same Windows host for Ansible's ``psrp`` connection: PowerShell Remoting, whose messages are psrpcore's matter, over WinRM.

Facts: which message travels in which operation is MS-PSRP's section 3.1.5.3 as pypsrp sends it.
"""

from __future__ import annotations

import base64
import typing as t
import uuid

import psrpcore
from psrpcore.types import HostMethodIdentifier, NETException

from lab.windows import WindowsHost
from lab.winrm import NAMESPACES, SHELL_ID, Command, Element, find, text_of

RESOURCE = "http://schemas.microsoft.com/powershell/Microsoft.PowerShell"
CREATION = "s:Body/rsp:Shell/{http://schemas.microsoft.com/powershell}creationXml"


class PsrpHost(WindowsHost):
    """A Windows host that takes runspace pools, and shells as before. A pipeline is a shell's command."""

    def __init__(self, name: str, number: int, short_table: bool = False) -> None:
        super().__init__(name, number, short_table)
        self._pools: dict[str, psrpcore.ServerRunspacePool] = {}
        self._operations[RESOURCE] = {
            f"{NAMESPACES['x']}/Create": self._create_pool,
            f"{NAMESPACES['x']}/Delete": self._delete,
            f"{NAMESPACES['rsp']}/Command": self._create_pipeline,
            f"{NAMESPACES['rsp']}/Send": self._send_to_pipeline,
            f"{NAMESPACES['rsp']}/Receive": self._receive_from,
            f"{NAMESPACES['rsp']}/Signal": self._signal,
        }

    def variables(self, ca: t.Any) -> dict[str, t.Any]:
        """Return the inventory variables with which this host is reached by psrp."""
        return super().variables(ca) | {
            "ansible_connection": "psrp",
            "ansible_psrp_auth": "basic",
            "ansible_psrp_protocol": "https",
            "ansible_psrp_ca_cert": str(ca),
            "ansible_psrp_reconnection_retries": 0,
        }

    def _create_pool(self, envelope: Element) -> str:
        shell_id = find(envelope, "s:Body/rsp:Shell").get("ShellId") or str(uuid.uuid4()).upper()
        self._shells[shell_id] = {}
        self._pools[shell_id] = psrpcore.ServerRunspacePool()
        self._take(shell_id, text_of(envelope, CREATION))
        return (
            f"<x:ResourceCreated><a:Address>{RESOURCE}</a:Address><a:ReferenceParameters><w:SelectorSet>"
            f'<w:Selector Name="ShellId">{shell_id}</w:Selector></w:SelectorSet></a:ReferenceParameters>'
            f"</x:ResourceCreated><rsp:Shell><rsp:ShellId>{shell_id}</rsp:ShellId></rsp:Shell>"
        )

    def _create_pipeline(self, envelope: Element) -> str:
        command_id = find(envelope, "s:Body/rsp:CommandLine").get("CommandId", "")
        self._shell(envelope)[command_id] = Command("")
        psrpcore.ServerPipeline(self._pools[text_of(envelope, SHELL_ID)], uuid.UUID(command_id))
        self._take(text_of(envelope, SHELL_ID), text_of(envelope, "s:Body/rsp:CommandLine/rsp:Arguments"), command_id)
        return f"<rsp:CommandResponse><rsp:CommandId>{command_id}</rsp:CommandId></rsp:CommandResponse>"

    def _send_to_pipeline(self, envelope: Element) -> str:
        self._shell(envelope)
        stream = find(envelope, "s:Body/rsp:Send/rsp:Stream")
        self._take(text_of(envelope, SHELL_ID), stream.text or "", stream.get("CommandId"))
        return "<rsp:SendResponse/>"

    def _take(self, shell_id: str, data: str, command_id: str | None = None) -> None:
        """Take a message, or a part of one; the last one starts what the pipeline is to do."""
        pool = self._pools[shell_id]
        pipeline_id = uuid.UUID(command_id) if command_id else None
        pool.receive_data(psrpcore.PSRPPayload(base64.b64decode(data), psrpcore.StreamType.default, pipeline_id))
        while event := pool.next_event():
            if isinstance(event, psrpcore.PipelineInputEvent):
                command = self._shells[shell_id][str(event.pipeline_id).upper()]
                command.stdin += (b"\n" if command.stdin else b"") + str(event.data).encode()
            ends = isinstance(event, psrpcore.EndOfPipelineInputEvent)
            if isinstance(event, psrpcore.CreatePipelineEvent):
                self._shells[shell_id][str(event.pipeline_id).upper()].line = event.pipeline.commands[0].command_text
                ends = event.pipeline.no_input
            if ends:
                self._execute(self._shells[shell_id][str(event.pipeline_id).upper()])

    def _receive_from(self, envelope: Element) -> str:
        pool = self._pools[text_of(envelope, SHELL_ID)]
        command_id = find(envelope, "s:Body/rsp:Receive/rsp:DesiredStream").get("CommandId")
        done = f'<rsp:CommandState CommandId="{command_id}" State="{NAMESPACES["rsp"]}/CommandState/Done"/>'
        if command_id:
            output = self._wait_for(envelope)
            pipeline = pool.pipeline_table[uuid.UUID(command_id)]
            pipeline.start()
            for line in output.stdout.splitlines():
                pipeline.write_output(line)
            if output.stderr:
                pipeline.write_error(NETException(Message=output.stderr))
            if output.rc:
                pipeline.host_call(HostMethodIdentifier.SetShouldExit, [output.rc])
            pipeline.complete()
        data = b""
        while payload := pool.data_to_send():
            data += payload.data
        stream = f'<rsp:Stream Name="stdout"{f" CommandId={command_id!r}" if command_id else ""}>'
        return (
            f"<rsp:ReceiveResponse>{stream}{base64.b64encode(data).decode()}</rsp:Stream>"
            f"{done if command_id else ''}</rsp:ReceiveResponse>"
        )
