// The page that compares runs: whatever stands in its address, so that it can be sent to others.

import { mountCompare } from "../panels/compare_view.js";
import { address, told } from "./http.js";
import { Address } from "./address.js";
import { HttpSource, takeOver, viewPlace } from "./source.js";
import { comparePageForms } from "./runs_address.js";
import { runsVerbs } from "./runs_verbs.js";

const { project } = told();
const verbs = runsVerbs(project);
const details = verbs.runs_detail;
verbs.runs_detail = async (args) => {
  const found = await details(args);
  takeOver();
  return found;
};
const source = new HttpSource({ state: new Address(comparePageForms), verbs, link: (id) => address(`/r/${id}`) });
const place = viewPlace();
if (source.get("selected").length) mountCompare(place, source);
