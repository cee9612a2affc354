// The picture of a panel in the notebook that this page saves, kept as new as the kernel has it.
//
// The kernel replaces its outputs by their display ids, which no file holds: after the page was loaded again, or opened
// the next day, that reaches nothing. Where the widget manager has the notebook (JupyterLab, Notebook 7) the page then
// asks for the picture and puts it in its place itself.

const GRACE_MS = 1500; // for the kernel's own way

/** Looks after the pictures of one panel. */
export class SavedPicture {
  constructor(model, source, id) {
    this.model = model;
    this.source = source;
    this.mark = `mlfoundry-mount-${id}`;
    this.renewed = () => this.look();
    model.on("change:_picture", this.renewed);
    this.look();
  }

  look() {
    clearTimeout(this.looking);
    this.looking = setTimeout(() => this.renew(), GRACE_MS);
  }

  async renew() {
    const number = this.model.get("_picture");
    if (this.asked === number || this.source.isGone || !this.old(number).length) return;
    this.asked = number;
    const data = await this.source.ask("picture").catch(() => null); // none when another page holds it as well
    if (data) for (const [outputs, place, output] of this.old(number)) outputs.set(place, { ...output, data });
  }

  /** The outputs of the notebook that hold an older picture than that of a number. */
  old(number) {
    const found = [];
    for (const cell of this.model.widget_manager?.context?.model?.cells ?? []) {
      for (let place = 0; place < (cell.outputs?.length ?? 0); place += 1) {
        const output = cell.outputs.get(place).toJSON();
        const html = [output.data?.["text/html"] ?? ""].flat().join("");
        if (html.includes(`${this.mark} `) && !html.includes(`${this.mark} mlfoundry-picture-${number}"`)) found.push([cell.outputs, place, output]);
      }
    }
    return found;
  }

  dispose() {
    clearTimeout(this.looking);
    this.model.off("change:_picture", this.renewed);
  }
}
