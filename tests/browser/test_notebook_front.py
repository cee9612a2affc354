"""The front end of notebooks in a page without a kernel: what it does with messages in whatever order they come."""

from __future__ import annotations

import base64
from collections.abc import Callable

from playwright.sync_api import Page, expect

from mlfoundry.panels import frames
from mlfoundry.records import RunStatus
from mlfoundry_jupyter.panels.asset import compressed, loader_source
from tests.unit.test_panels_frames import metric, record, series

# Models as a widget manager would make them; `say` lets one hear what a kernel says, `told` is what it was told.
MODELS = """([loader, content]) => {
    const bytes = (text) => new DataView(Uint8Array.from(atob(text), (each) => each.charCodeAt(0)).buffer);
    const model = (state) => {
        const listeners = new Set();
        return {
            told: [],
            widget_manager: { get_model: async () => ({ comm_live: true }) },
            get: (name) => state[name],
            set: (name, value) => { state[name] = value; },
            save_changes: () => {},
            on: (event, call) => event === "msg:custom" && listeners.add(call),
            off: (event, call) => listeners.delete(call),
            send(message) { this.told.push(message); },
            say(message, frame) {
                const buffers = frame ? [bytes(frame)] : [];
                for (const call of listeners) call({ ...message, at: Date.now() / 1000 }, buffers);
            },
        };
    };
    window.asset = model({ _asset_id: "a", content_hash: "h", is_sent: true });
    window.panel = model({ _asset_id: "a", _mount_id: "m", _view: "run", _mount: "mountRun", tab: "metrics" });
    document.body.innerHTML = `<div class="mlfoundry-mount mlfoundry-mount-m"><div>the picture</div></div>`;
    window.unpack = () => asset.say({ kind: "asset" }, content);
    window.begun = import(URL.createObjectURL(new Blob([loader], { type: "text/javascript" }))).then(async (module) => {
        module.default.initialize({ model: asset });
        (await globalThis.__mlfoundryLoaders.get("a").promise).initialize({ model: panel });
    });
    return begun;
}"""


def opened(new_page: Callable[..., Page], server: str) -> Page:
    page = new_page()
    page.goto(f"{server}/pages/run.html")
    page.evaluate(MODELS, [loader_source(), base64.b64encode(compressed()).decode()])
    return page


def snapshot(steps: int) -> dict[str, object]:
    return frames.run_snapshot(
        record(status=RunStatus.RUNNING, ended_at=None, metrics={"loss": metric(0.5, steps)}), {}
    )


def points(values: list[float]) -> str:
    return base64.b64encode(frames.whole_points("a" * 32, [series("loss", values)], [])).decode()


def test_a_page_that_hears_of_a_change_before_its_view_stands_asks_for_all(
    new_page: Callable[..., Page], panel_server: str
) -> None:
    page = opened(new_page, panel_server)
    page.evaluate("run => panel.say({ kind: 'run', run })", snapshot(3))
    page.evaluate("unpack()")
    expect(page.locator(".mlf-run-header")).to_contain_text("svm")
    assert page.evaluate("panel.told.map(each => each.kind)") == ["ready", "visible"]
    page.evaluate("frame => panel.say({ kind: 'frame' }, frame)", points([0.5, 0.25, 0.125]))
    expect(page.locator(".mlf-values-metrics")).to_contain_text("0.125")
    expect(page.locator(".mlf-run-fresh")).to_be_visible()


def test_a_page_that_hears_of_points_alone_before_its_view_stands_asks_for_all(
    new_page: Callable[..., Page], panel_server: str
) -> None:
    page = opened(new_page, panel_server)
    page.evaluate("frame => panel.say({ kind: 'frame' }, frame)", points([0.5, 0.25, 0.125]))
    page.evaluate("unpack()")
    page.wait_for_function("panel.told.length > 1")
    assert page.evaluate("panel.told.map(each => each.kind)") == ["ready", "visible"]


def test_that_an_output_is_gone_is_told_however_much_the_page_changes_meanwhile(
    new_page: Callable[..., Page], panel_server: str
) -> None:
    page = opened(new_page, panel_server)
    page.evaluate("run => panel.say({ kind: 'run', run })", snapshot(3))
    page.evaluate("unpack()")
    expect(page.locator(".mlf-run-header")).to_contain_text("svm")
    page.evaluate("""() => {
        document.querySelector(".mlfoundry-mount").remove();
        setInterval(() => document.body.append(document.createElement("i")), 100);
    }""")
    page.wait_for_function("panel.told.at(-1).stands === false", timeout=20_000)
    assert page.evaluate("panel.told.at(-1).is") is False


def test_a_page_that_has_all_before_its_view_stands_asks_for_nothing(
    new_page: Callable[..., Page], panel_server: str
) -> None:
    page = opened(new_page, panel_server)
    page.evaluate("run => panel.say({ kind: 'run', run })", snapshot(3))
    page.evaluate("frame => panel.say({ kind: 'frame' }, frame)", points([0.5, 0.25, 0.125]))
    page.evaluate("unpack()")
    expect(page.locator(".mlf-values-metrics")).to_contain_text("0.125")
    assert page.evaluate("panel.told") == [
        {"kind": "visible", "is": True, "stands": True, "within": False, "page": page.evaluate("panel.told[0].page")}
    ]


SETTINGS = "['smoothing', 'log_scale'].map(each => panel.get(each))"


def test_a_page_that_is_loaded_again_sets_what_was_set_last_in_the_former_one_unless_the_kernel_says_otherwise(
    new_page: Callable[..., Page], panel_server: str
) -> None:
    loader, content = loader_source(), base64.b64encode(compressed()).decode()
    page = opened(new_page, panel_server)
    for heard, expected in (([0.3, False], [0.6, True]), ([0.9, True], [0.9, True]), ([0.6, True], [0.6, True])):
        page.evaluate("unpack()")
        page.evaluate("run => panel.say({ kind: 'run', run })", snapshot(3))
        expect(page.locator(".mlf-run-header")).to_contain_text("svm")
        page.evaluate("""() => {
            const { source } = __mlfoundryPanels.get("m");
            source.model.set("smoothing", 0.1);
            source.model.set("log_scale", false);
            source.set("smoothing", 0.3);
            source.set("log", true);
            source.set("smoothing", 0.6);
        }""")
        page.reload()
        page.evaluate(MODELS, [loader, content])
        page.evaluate(
            "([smoothing, log]) => { panel.set('smoothing', smoothing); panel.set('log_scale', log); }", heard
        )
        page.evaluate("unpack()")
        expect(page.locator(".mlf-run")).to_be_visible()
        assert page.evaluate(SETTINGS) == expected
        page.reload()
        page.evaluate("sessionStorage.clear()")
        page.evaluate(MODELS, [loader, content])
