// A client as people write one for the live service: Node, without packages.
//
// node node_client.mjs URL USERNAME PASSWORD: signs in, makes an instance, loads a file, waits for
// its job, reads the records back, and cleans up. It prints what it has seen as JSON.

const [base, username, password] = process.argv.slice(2);
const seen = { statuses: new Set(), headers: {} };
let authorization = "";

async function call(method, path, { body, headers = {} } = {}) {
  const isForm = body instanceof FormData;
  const response = await fetch(`${base}/elements/api-v2${path}`, {
    method,
    headers: {
      ...(authorization && { Authorization: authorization }),
      ...(body !== undefined && !isForm && { "Content-Type": "application/json" }),
      ...headers,
    },
    body: body === undefined || isForm ? body : JSON.stringify(body),
  });
  seen.statuses.add(response.status);
  const text = await response.text();
  const isJson = (response.headers.get("content-type") ?? "").startsWith("application/json");
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}

async function finished(id) {
  for (let tries = 0; tries < 600; tries += 1) {
    const { body } = await call("GET", `/hubs/general/bulk/${id}/status`);
    if (body.status === "COMPLETED") return body;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  throw new Error(`job ${id} did not finish`);
}

const { token } = (await call("POST", "/authentication", { body: { username, password } })).body;
const secrets = await call("GET", "/authentication/secrets", {
  headers: { Authorization: `Bearer ${token}` },
});
authorization = `User ${secrets.body.userSecret}, Organization ${secrets.body.organizationSecret}`;

const keys = (await call("GET", "/elements/keys")).body;
const made = (await call("POST", "/elements/memory/instances", { body: { name: "node" } })).body;
const again = (await call("GET", `/instances/${made.id}`)).body;
authorization += `, Element ${again.token}`;
seen.ping = (await call("GET", "/hubs/general/ping")).body.valid;

const form = new FormData();
form.append("metaData", JSON.stringify({ format: "csv", action: "create" }));
form.append("file", new Blob(["name,age\nAnn,7\nBob,8\nCara,9\n"]), "sample.csv");
const upload = (await call("POST", "/hubs/crap/bulk/records", { body: form })).body;
seen.upload = await finished(upload.id);
seen.errors = (await call("GET", `/hubs/general/bulk/${upload.id}/errors`)).body;

const q = encodeURIComponent("select name from records where age > 7");
const query = (await call("POST", `/hubs/general/bulk/query?q=${q}`)).body;
await finished(query.id);
const result = (accept) =>
  call("GET", `/hubs/general/bulk/${query.id}/records`, { headers: { Accept: accept } });
seen.csv = (await result("text/csv")).body;
seen.json = (await result("application/json")).body;

seen.pages = [];
for (let nextPage = ""; nextPage !== null; ) {
  const page = await call("GET", `/records?pageSize=2&nextPage=${encodeURIComponent(nextPage)}&where=`);
  seen.pages.push(page.body.map((record) => record.name));
  seen.instance = Number(page.headers.get("elements-element-instance-id"));
  nextPage = page.headers.get("elements-next-page-token");
}

const gone = await call("DELETE", `/elements/memory/instances/${made.id}`, { body: null });
seen.after = (await call("GET", "/records")).status;
console.log(JSON.stringify({ ...seen, statuses: [...seen.statuses], keys, made: made.id, gone: gone.body }));
