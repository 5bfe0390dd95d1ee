# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWX's API as far as ansible-rulebook uses it to launch a job template: find it, launch it, ask until the job has ended."""

from __future__ import annotations

import threading
import typing as t

from flask import Flask, Response, jsonify, request
from werkzeug.serving import make_server

TOKEN = "awx-token-secret-2"
ORGANIZATION = "Default"
Job: t.TypeAlias = "tuple[str, dict[str, t.Any]]"


class Jobs:
    """An AWX with these job templates. ``run`` is what a job does: for its template, it returns its status and its artifacts."""

    def __init__(self, templates: t.Sequence[str], run: t.Callable[[str], Job]) -> None:
        self.templates = templates
        self.run = run
        self.launched: list[tuple[str, dict[str, t.Any]]] = []
        self._ended: list[Job] = []
        app = Flask("awx-jobs")
        app.before_request(self._authenticate)
        app.get("/api/v2/config/")(lambda: jsonify(version="24.6.1"))
        app.get("/api/v2/unified_job_templates/")(self._find)
        app.post("/api/v2/job_templates/<int:number>/launch/")(self._launch)
        app.get("/api/v2/jobs/")(self._jobs)
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def start(self) -> None:
        """Serve until ``stop``."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def _authenticate(self) -> Response | None:
        if request.headers.get("Authorization") == f"Bearer {TOKEN}":
            return None
        return Response("{}", 401, content_type="application/json")

    def _find(self) -> Response:
        found = [
            {
                "id": number,
                "type": "job_template",
                "name": name,
                "summary_fields": {"organization": {"name": ORGANIZATION}},
                "related": {"launch": f"/api/v2/job_templates/{number}/launch/"},
                **{f"ask_{what}_on_launch": False for what in ("inventory", "labels", "limit", "variables")},
            }
            for number, name in enumerate(self.templates)
            if name == request.args["name"]
        ]
        return jsonify(count=len(found), next=None, results=found)

    def _launch(self, number: int) -> tuple[Response, int]:
        name = self.templates[number]
        self.launched.append((name, request.get_json()))
        self._ended.append(self.run(name))
        return jsonify(self._shown(len(self._ended) - 1)), 201

    def _jobs(self) -> Response:
        asked = [int(number) for number in request.args["id__in"].split(",")]
        return jsonify(count=len(asked), next=None, results=[self._shown(number) for number in asked])

    def _shown(self, number: int) -> dict[str, t.Any]:
        status, artifacts = self._ended[number]
        url, created = f"/api/v2/jobs/{number}/", "2026-01-31T02:00:00Z"
        return {"id": number, "type": "job", "url": url, "status": status, "artifacts": artifacts, "created": created}
