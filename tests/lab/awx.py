# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A strict stand-in of AWX's API, as far as awx.awx uses it to set up a project. It keeps state, and runs no jobs.

The rules are those of AWX 24.6: awx/main/fields.py (credential types), awx/api/views (surveys) and awx/api/serializers.py (messages,
schedules, nodes). What AWX ignores, such as an unknown field, is an error here.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from flask import Flask, Response, request
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from werkzeug.serving import make_server

Record: t.TypeAlias = "dict[str, t.Any]"
ENCRYPTED = "$encrypted$"
TOKEN = "awx-token-secret-1"

BLOCKED = frozenset(
    {"AWX_HOST", "CACHE", "CALLBACK_CONNECTION", "CALLBACK_QUEUE", "INVENTORY_ID", "JOB_ID", "PATH", "PYTHONPATH"}
)
INPUT_KEYS = frozenset({"id", "label", "type", "format", "choices", "help_text", "multiline", "secret", "default"})
SURVEY_TYPES: t.Final[t.Mapping[str, tuple[type, ...]]] = {
    "text": (str,),
    "textarea": (str,),
    "password": (str,),
    "multiplechoice": (str,),
    "multiselect": (list, str),
    "integer": (int,),
    "float": (float, int),
}
MAIL: t.Final[t.Mapping[str, type]] = {
    "host": str,
    "port": int,
    "username": str,
    "password": str,
    "use_tls": bool,
    "use_ssl": bool,
    "sender": str,
    "recipients": list,
    "timeout": int,
}


class Loader(yaml.SafeLoader):
    """Reads YAML with Ansible's tag for texts that are no templates."""


Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(t.cast(yaml.ScalarNode, node)))


def load(path: Path) -> t.Any:
    """Read a file of the project."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader)


class Refused(Exception):
    """A request that AWX answers with 400."""


def require(condition: object, message: str) -> None:
    """Refuse a request unless this is so."""
    if not condition:
        raise Refused(message)


# -- rules -------------------------------------------------------------------------------------------------------------


def render(template: str, namespace: t.Mapping[str, t.Any]) -> str:
    """Render a template as AWX does when it validates one: what is not defined is an error."""
    try:
        return ImmutableSandboxedEnvironment(undefined=StrictUndefined).from_string(template).render(namespace)
    except TemplateError as error:
        raise Refused(f"{template}: {error}") from error


def check_credential_type(record: Record) -> None:
    """Check inputs and injectors of a credential type."""
    require(record["kind"] in ("cloud", "net"), "kind must be cloud or net")
    inputs, injectors = record["inputs"], record["injectors"]
    require(inputs.keys() <= {"fields", "required"}, "unknown key of inputs")
    names = []
    for one in inputs.get("fields", []):
        require(one.keys() <= INPUT_KEYS and {"id", "label"} <= one.keys(), f"keys of {one}")
        require(one.get("type", "string") in ("string", "boolean"), f"type of {one['id']}")
        require(re.fullmatch(r"[a-zA-Z_]+[a-zA-Z0-9_]*", one["id"]) and one["id"] != "tower", f"id {one['id']}")
        of_text = {"choices", "multiline", "format", "secret"} & one.keys()
        require(one.get("type", "string") == "string" or not of_text, f"{of_text} not allowed for {one['id']}")
        names.append(one["id"])
    require(len(names) == len({*names}), "field IDs must be unique")
    require({*inputs.get("required", [])} <= {*names}, "a required field is not defined")
    require(injectors.keys() <= {"file", "env", "extra_vars"}, "unknown kind of injector")
    files = injectors.get("file", {})
    labels = [name.partition(".")[2] for name in files if re.fullmatch(r"template(\.[a-zA-Z_]+[a-zA-Z0-9_]*)?", name)]
    require(len(labels) == len(files), "a file injector is not called template")
    require("" not in labels or len(labels) == 1, "Must use multi-file syntax when injecting multiple files")
    filename = "EXAMPLE_FILENAME" if labels == [""] else dict.fromkeys(labels, "EXAMPLE_FILENAME")
    namespace = {**dict.fromkeys(names, "EXAMPLE"), **({"tower": {"filename": filename}} if labels else {})}
    for name in injectors.get("env", {}):
        require(re.fullmatch(r"[a-zA-Z_]+[a-zA-Z0-9_]*", name), f"environment variable {name}")
        require(not name.startswith("ANSIBLE_") and name not in BLOCKED, f"Environment variable {name} is not allowed")
    for texts in injectors.values():
        for text in texts.values():
            require(text.isascii(), f"{text} is not ASCII")
            render(text, namespace)


def inject(record: Record, inputs: Record, folder: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the environment and the files, by path, that a job gets from a credential of this type."""
    fields = record["inputs"]["fields"]
    namespace: Record = {name: value for name, value in inputs.items() if value != ""}
    for one in fields:
        if one["type"] == "boolean":
            namespace.setdefault(one["id"], False)
    jinja, files, names = ImmutableSandboxedEnvironment(), {}, {}
    for label, text in record["injectors"].get("file", {}).items():
        names[label.partition(".")[2]] = path = f"{folder}/{label}"
        files[path] = jinja.from_string(text).render(namespace)
    namespace["tower"] = {"filename": names}
    env = {name: jinja.from_string(text).render(namespace) for name, text in record["injectors"].get("env", {}).items()}
    return env, files


def check_survey(survey: Record) -> None:
    """Check a survey, and bring its choices into AWX's form."""
    for key, kind in (("name", str), ("description", str), ("spec", list)):
        require(isinstance(survey.get(key), kind), f"Field '{key}' is missing from survey spec.")
    require(survey["spec"], "'spec' doesn't contain any items.")
    seen = set()
    for index, item in enumerate(survey["spec"]):
        for key, expected in (("type", str), ("question_name", str), ("variable", str), ("required", bool)):
            require(isinstance(item.get(key), expected), f"'{key}' in survey question {index}")
        require(item["variable"] not in seen, f"'variable' '{item['variable']}' duplicated")
        seen.add(item["variable"])
        kinds = SURVEY_TYPES.get(item["type"])
        require(kinds, f"'{item['type']}' in survey question {index} is not an allowed question type")
        default = item.get("default", "")
        require(default == "" or isinstance(default, kinds or ()), f"Default value of survey question {index}")
        for key in ("min", "max"):
            require(item.get(key) is None or isinstance(item[key], int), f"{key} of survey question {index}")
        if item["type"] in ("multiplechoice", "multiselect"):
            require("choices" in item, f"Survey question {index} must specify choices.")
            require(default == "" or default in item["choices"], "Default choice must be answered from the choices.")


def check_messages(messages: Record) -> None:
    """Check the texts of a notification, which know the job, and of its artifacts not yet any."""
    job = {"id": 42, "name": "Stub", "status": "running", "artifacts": {}}
    for event, texts in messages.items():
        require(event in ("started", "success", "error", "workflow_approval"), f"event {event}")
        require(texts.keys() <= {"message", "body"}, f"Message type of {event}")
        require("\n" not in texts.get("message", ""), "Messages cannot contain newlines")
        for text in texts.values():
            render(text, {"job": job, "url": "https://platformhost/#/jobs/1", "job_friendly_name": "Job"})


def check_mail(configuration: Record) -> None:
    """Check the configuration of notifications by e-mail."""
    require(configuration.keys() == MAIL.keys(), f"fields: {configuration.keys() ^ MAIL.keys()}")
    for name, kind in MAIL.items():
        value = configuration[name]
        fits = isinstance(value, kind) and isinstance(value, bool) is (kind is bool)
        require(fits and value != [], f"Configuration field '{name}'")


def check_rrule(rule: str) -> None:
    """Check when a schedule runs."""
    starts = re.findall(r"DTSTART(?:;TZID=[\w/+-]+:\d{8}T\d{6}|:\d{8}T\d{6}Z)(?= |$)", rule)
    require(len(starts) == 1 == rule.count("DTSTART"), "One valid DTSTART required in rrule.")
    rules = re.findall(r"RRULE:(\S+)", rule)
    require(rules, "RRULE required in rrule.")
    for one in rules:
        parts = dict(part.split("=", 1) for part in one.split(";"))
        require(parts.get("INTERVAL", "0") != "0", "INTERVAL required in rrule.")
        require(parts.get("FREQ") != "SECONDLY", "SECONDLY is not supported.")
        require(not re.search(r"\d", parts.get("BYDAY", "")), "BYDAY with numeric prefix not supported.")
        require(not {"COUNT", "UNTIL"} <= parts.keys(), "RRULE may not contain both COUNT and UNTIL")
        require(int(parts.get("COUNT", 0)) <= 999, "COUNT > 999 is unsupported.")
    require("EXDATE" not in rule and "RDATE" not in rule, "EXDATE and RDATE are not supported.")


# -- resources ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Resource:
    """One kind of object: its fields with what they are without a value, those that must be given, and those that name another object."""

    type: str
    fields: t.Mapping[str, t.Any]
    required: tuple[str, ...] = ("name",)
    refers: t.Mapping[str, str] = field(default_factory=dict)
    associations: t.Mapping[str, str] = field(default_factory=dict)


NAMED: t.Final = {"name": None, "description": ""}
IN_ORGANIZATION: t.Final = {**NAMED, "organization": None}
ORGANIZATION: t.Final = {"organization": "organizations"}
ASKS = ("job_type", "limit", "variables", "verbosity", "job_slice_count")
NODES: t.Final = {f"{kind}_nodes": "workflow_job_template_nodes" for kind in ("success", "failure", "always")}
RESOURCES: t.Final[t.Mapping[str, Resource]] = {
    "organizations": Resource("organization", NAMED),
    "execution_environments": Resource(
        "execution_environment", {**IN_ORGANIZATION, "image": None, "pull": ""}, ("name", "image"), ORGANIZATION
    ),
    "projects": Resource(
        "project",
        {**IN_ORGANIZATION, "scm_type": "", "scm_url": "", "scm_branch": "", "default_environment": None}
        | {"scm_update_on_launch": False, "scm_revision": "abc"},
        refers={**ORGANIZATION, "default_environment": "execution_environments"},
    ),
    "inventories": Resource(
        "inventory", {**IN_ORGANIZATION, "kind": "", "host_filter": None}, ("name", "organization"), ORGANIZATION
    ),
    "inventory_sources": Resource(
        "inventory_source",
        {**NAMED, "inventory": None, "source": None, "source_project": None, "source_path": ""}
        | {"overwrite": False, "overwrite_vars": False, "update_on_launch": False},
        ("name", "inventory", "source"),
        {"inventory": "inventories", "source_project": "projects"},
    ),
    "credential_types": Resource(
        "credential_type",
        {**NAMED, "kind": None, "inputs": {}, "injectors": {}, "managed": False},
        ("name", "kind"),
    ),
    "credentials": Resource(
        "credential",
        {**IN_ORGANIZATION, "credential_type": None, "inputs": {}},
        ("name", "credential_type"),
        {**ORGANIZATION, "credential_type": "credential_types"},
    ),
    "notification_templates": Resource(
        "notification_template",
        {**IN_ORGANIZATION, "notification_type": None, "notification_configuration": {}, "messages": None},
        ("name", "organization", "notification_type"),
        ORGANIZATION,
    ),
    "job_templates": Resource(
        "job_template",
        {**IN_ORGANIZATION, "job_type": "run", "inventory": None, "project": None, "playbook": "", "extra_vars": ""}
        | {"execution_environment": None, "survey_enabled": False, "allow_simultaneous": False, "job_slice_count": 1}
        | {f"ask_{name}_on_launch": False for name in ASKS},
        ("name", "project", "playbook"),
        {"inventory": "inventories", "project": "projects", "execution_environment": "execution_environments"}
        | ORGANIZATION,
        {"credentials": "credentials"}
        | {f"notification_templates_{event}": "notification_templates" for event in ("started", "success", "error")},
    ),
    "workflow_job_templates": Resource(
        "workflow_job_template", {**IN_ORGANIZATION, "allow_simultaneous": False}, refers=ORGANIZATION
    ),
    "workflow_job_template_nodes": Resource(
        "workflow_job_template_node",
        {"identifier": None, "workflow_job_template": None, "unified_job_template": None, "extra_data": {}},
        ("identifier", "workflow_job_template"),
        {"workflow_job_template": "workflow_job_templates", "unified_job_template": "unified_job_templates"},
        NODES,
    ),
    "workflow_approval_templates": Resource("workflow_approval_template", {**NAMED, "timeout": 0}),
    "schedules": Resource(
        "schedule",
        {**NAMED, "unified_job_template": None, "rrule": None, "extra_data": {}, "enabled": True},
        ("name", "unified_job_template", "rrule"),
        {"unified_job_template": "unified_job_templates"},
    ),
}
UNIFIED = ("projects", "inventory_sources", "job_templates", "workflow_job_templates", "workflow_approval_templates")


class Awx:
    """The stand-in: ``playbooks`` are those of every project; ``writes`` counts the requests that change something."""

    def __init__(self, playbooks: t.Collection[str]) -> None:
        self.playbooks, self.writes, self.url = playbooks, 0, ""
        self.objects: dict[str, dict[int, Record]] = {name: {} for name in RESOURCES}
        self.surveys: dict[int, Record] = {}
        self.links: dict[tuple[int, str], list[int]] = {}
        self._ids = itertools.count(1)
        self._add("organizations", {"name": "Default"})
        inputs = {
            "fields": [{"id": "username", "type": "string"}, {"id": "password", "type": "string", "secret": True}]
        }
        self._add("credential_types", {"name": "Machine", "kind": "ssh", "managed": True, "inputs": inputs})
        self.app = Flask("awx")
        self.app.add_url_rule("/api/v2/<path:path>", view_func=self._answer, methods=["GET", "POST", "PATCH"])

    def start(self) -> None:
        """Serve on loopback, at ``url``."""
        self._server = make_server("127.0.0.1", 0, self.app, threaded=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def named(self, kind: str, name: str) -> Record:
        """Return an object by its name."""
        (found,) = (one for one in self.objects[kind].values() if name in (one.get("name"), one.get("identifier")))
        return found

    # Answers

    def _answer(self, path: str) -> Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._json(401, {"detail": "Authentication credentials were not provided."})
        given = request.get_json(silent=True) or {}
        self.writes += request.method != "GET"
        try:
            return self._json(*self._serve(request.method, path.strip("/").split("/"), given))
        except Refused as refusal:
            return self._json(400, {"error": str(refusal), "__all__": [str(refusal)]})
        except KeyError as error:
            return self._json(404, {"detail": f"Not found: {error}"})

    @staticmethod
    def _json(code: int, body: t.Any) -> Response:
        headers = {"X-API-Product-Name": "AWX", "X-API-Product-Version": "24.6.1"}
        text = "" if code == 204 else json.dumps(body)
        return Response(text, code, headers, content_type="application/json")

    def _serve(self, method: str, path: list[str], given: Record) -> tuple[int, t.Any]:
        match method, path:
            case "GET", ["project_updates", _number]:
                return 200, {"status": "successful"}
            case "GET", ["unified_job_templates"]:
                return self._list(UNIFIED)
            case "GET", [kind]:
                return self._list([kind])
            case "POST", [kind]:
                record = self._checked(kind, {**RESOURCES[kind].fields}, given)
                return 201, self._shown(kind, self._add(kind, record), created=True)
            case "GET", [kind, number]:
                return 200, self._shown(kind, self.objects[kind][int(number)])
            case "PATCH", [kind, number]:
                old = self.objects[kind][int(number)]
                old.update(self._checked(kind, old, given))
                return 200, self._shown(kind, old)
            case "GET", ["job_templates", number, "survey_spec"]:
                return 200, self.surveys.get(int(number), {})
            case "POST", ["job_templates", number, "survey_spec"]:
                check_survey(given)
                self.surveys[int(number)] = given
                return 200, {}
            case "POST", ["workflow_job_template_nodes", number, "create_approval_template"]:
                node = self.objects["workflow_job_template_nodes"][int(number)]
                approval = self._add(
                    "workflow_approval_templates", self._checked("workflow_approval_templates", {}, given)
                )
                node["unified_job_template"] = approval["id"]
                return 201, self._shown("workflow_approval_templates", approval)
            case _, [kind, number, association]:
                return self._associate(method, kind, int(number), association, given)
        raise KeyError("/".join(path))

    def _list(self, kinds: t.Iterable[str]) -> tuple[int, Record]:
        found = [(kind, one) for kind in kinds for one in self.objects[kind].values()]
        for name, value in request.args.items():
            require(all(name in RESOURCES[kind].fields or kind in UNIFIED for kind in kinds), f"filter by {name}")
            found = [(kind, one) for kind, one in found if value == "None" or str(one.get(name)) == value]
        shown = [self._shown(kind, one) for kind, one in found]
        return 200, {"count": len(shown), "next": None, "results": shown}

    def _associate(self, method: str, kind: str, number: int, name: str, given: Record) -> tuple[int, t.Any]:
        target = RESOURCES[kind].associations[name]
        ids = self.links.setdefault((self.objects[kind][number]["id"], name), [])
        if method == "GET":
            found = [self._shown(target, self.objects[target][one]) for one in ids]
            return 200, {"count": len(found), "next": None, "results": found}
        other = self.objects[target][given["id"]]
        if given.get("disassociate"):
            ids.remove(other["id"])
            return 204, None
        if name == "credentials":
            types = [self.objects[target][one]["credential_type"] for one in ids]
            require(other["credential_type"] not in types, "Cannot assign multiple credentials of the same type.")
        if name in NODES:
            require(number not in {other["id"], *self._following(other["id"])}, "Cycle detected.")
            linked = [one for link in NODES for one in self.links.get((number, link), [])]
            require(other["id"] not in linked, "Relationship not allowed.")
        ids.append(other["id"])
        return 204, None

    def _following(self, node: int) -> set[int]:
        direct = {one for link in NODES for one in self.links.get((node, link), [])}
        return direct | {further for one in direct for further in self._following(one)}

    # Objects

    def _add(self, kind: str, record: Record) -> Record:
        number = next(self._ids)
        self.objects[kind][number] = {**RESOURCES[kind].fields, **record, "id": number}
        return self.objects[kind][number]

    def _shown(self, kind: str, record: Record, *, created: bool = False) -> Record:
        url = f"/api/v2/{kind}/{record['id']}/"
        related: Record = {"survey_spec": f"{url}survey_spec/"} if kind == "job_templates" else {}
        if kind == "workflow_job_template_nodes" and record["unified_job_template"]:
            (of,) = (name for name in UNIFIED if record["unified_job_template"] in self.objects[name])
            related["unified_job_template"] = f"/api/v2/{of}/{record['unified_job_template']}/"
        shown = {**record, "type": RESOURCES[kind].type, "url": url, "related": related, "summary_fields": {}}
        if kind == "projects" and created:
            shown["summary_fields"] = {"current_update": {"id": 1}}
        if kind == "credentials":
            fields = self.objects["credential_types"][record["credential_type"]]["inputs"]["fields"]
            secret = {one["id"] for one in fields if one.get("secret")}
            shown["inputs"] = {
                name: ENCRYPTED if name in secret and value else value for name, value in record["inputs"].items()
            }
        if kind == "notification_templates":
            shown["notification_configuration"] = {**record["notification_configuration"], "password": ENCRYPTED}
        return shown

    def _checked(self, kind: str, old: Record, given: Record) -> Record:
        """Return what an object becomes, if that is valid."""
        resource = RESOURCES[kind]
        given = {name: value for name, value in given.items() if name != "type" or value != resource.type}
        require(given.keys() <= resource.fields.keys(), f"unknown fields: {given.keys() - resource.fields.keys()}")
        record = {**old, **given}
        for name in resource.required:
            require(record.get(name) not in (None, ""), f"{name}: This field is required.")
        for name, target in resource.refers.items():
            there = [
                one for of in (UNIFIED if target == "unified_job_templates" else [target]) for one in self.objects[of]
            ]
            require(record.get(name) is None or record[name] in there, f"{name}: object does not exist")
        getattr(self, f"_check_{resource.type}", lambda _record: None)(record)
        return record

    def _check_credential_type(self, record: Record) -> None:
        check_credential_type(record)

    def _check_credential(self, record: Record) -> None:
        inputs = self.objects["credential_types"][record["credential_type"]]["inputs"]
        kinds = {one["id"]: bool if one["type"] == "boolean" else str for one in inputs["fields"]}
        require(record["inputs"].keys() <= kinds.keys(), "Additional properties are not allowed")
        require(all(isinstance(value, kinds[name]) for name, value in record["inputs"].items()), "type of an input")
        require(all(record["inputs"].get(name) for name in inputs.get("required", [])), "a required input is missing")

    def _check_notification_template(self, record: Record) -> None:
        require(record["notification_type"] == "email", "this stand-in knows e-mail only")
        check_mail(record["notification_configuration"])
        check_messages(record["messages"])

    def _check_job_template(self, record: Record) -> None:
        require(record["playbook"] in self.playbooks, "Playbook not found for project.")
        json.loads(record["extra_vars"])

    def _check_schedule(self, record: Record) -> None:
        check_rrule(record["rrule"])
        self._check_prompts(record)

    def _check_workflow_job_template_node(self, record: Record) -> None:
        if record["unified_job_template"] in self.objects["job_templates"]:
            self._check_prompts(record)

    def _check_prompts(self, record: Record) -> None:
        number = record["unified_job_template"]
        asked = {one["variable"] for one in self.surveys.get(number, {}).get("spec", [])}
        if not self.objects["job_templates"][number]["ask_variables_on_launch"]:
            require(record["extra_data"].keys() <= asked, "Variables are not allowed on launch.")
