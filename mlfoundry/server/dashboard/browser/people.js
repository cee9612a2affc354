// The page of who has access to a project.

import { mountCollaborators } from "../panels/collaborators_view.js";
import { request, told } from "./http.js";
import { HttpSource, inMemory, takeOver, viewPlace } from "./source.js";

const { project } = told();
const place = `/api/v1/projects/${project.project_id}/collaborators`;
const list = async () => {
  const found = await request("GET", `/dashboard/projects/${project.project_id}/people`);
  takeOver();
  return found;
};
const put = async ({ user, permission }, isNew) => {
  await request("PUT", place, { body: { user, permission, new: isNew } });
  return list();
};

const verbs = {
  list,
  add: (args) => put(args, true),
  change: (args) => put(args, false),
  remove: async ({ user }) => {
    await request("DELETE", place, { query: { user } });
    return list();
  },
};
mountCollaborators(viewPlace(), new HttpSource({ state: inMemory(), verbs }));
