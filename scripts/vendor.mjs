// Copies the browser libraries that Pulseboard serves from node_modules to static/vendor.
//
//   node scripts/vendor.mjs           refresh the copies and static/vendor/README.md
//   node scripts/vendor.mjs --check   change nothing; fail when a copy differs from its package
//
// Users never run this: the copies are committed.

import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const VENDOR = join(ROOT, "static", "vendor");

/**
 * uPlot's types are written for `export =`, but its ES module has a default export.
 * @param {string} text
 */
function asModuleTypes(text) {
  return text
    .replace(/^export = uPlot;$/m, "export default uPlot;")
    .replace(/^export as namespace uPlot;\r?\n/m, "");
}

const LIBRARIES = [
  {
    name: "uplot",
    files: [
      { from: "dist/uPlot.esm.js", to: "uPlot.esm.js" },
      { from: "dist/uPlot.d.ts", to: "uPlot.esm.d.ts", change: asModuleTypes },
      { from: "dist/uPlot.min.css", to: "uPlot.min.css" },
      { from: "LICENSE", to: "LICENSE" },
    ],
  },
];

/** @param {string} path */
async function readOrNull(path) {
  try {
    return await readFile(path, "utf8");
  } catch {
    return null;
  }
}

/** The text of every vendored file, by its path below static/vendor. */
async function wantedFiles() {
  /** @type {Map<string, string>} */
  const wanted = new Map();
  const sections = [];
  for (const library of LIBRARIES) {
    const folder = join(ROOT, "node_modules", library.name);
    const manifest = await readOrNull(join(folder, "package.json"));
    if (manifest === null) {
      throw new Error(`node_modules/${library.name} is missing: run "npm ci" first`);
    }
    const { version, license } = JSON.parse(manifest);
    const rows = [];
    for (const file of library.files) {
      const original = await readFile(join(folder, file.from), "utf8");
      const text = file.change ? file.change(original) : original;
      wanted.set(join(library.name, file.to), text);
      const note = file.change ? " (types changed to a default export)" : "";
      const digest = createHash("sha256").update(text).digest("hex");
      rows.push(`| \`${file.to}\` | \`${file.from}\`${note} | \`${digest}\` |`);
    }
    sections.push(
      `## ${library.name} ${version}\n\nLicence: ${license}, see \`${library.name}/LICENSE\`.\n\n` +
        `| file | taken from | sha256 |\n|---|---|---|\n${rows.join("\n")}\n`,
    );
  }
  wanted.set(
    "README.md",
    "# Vendored browser libraries\n\nWritten by `node scripts/vendor.mjs` from the versions in " +
      "`package-lock.json`; do not edit.\n`node scripts/vendor.mjs --check` fails when a file here " +
      `differs from its package.\n\n${sections.join("\n")}`,
  );
  return wanted;
}

async function main() {
  const wanted = await wantedFiles();
  const differing = [];
  for (const [path, text] of wanted) {
    if ((await readOrNull(join(VENDOR, path))) !== text) differing.push(path);
  }
  if (process.argv.includes("--check")) {
    for (const path of differing) {
      console.error(`static/vendor/${path} differs from its package: run "node scripts/vendor.mjs"`);
    }
    process.exitCode = differing.length > 0 ? 1 : 0;
    return;
  }
  for (const path of differing) {
    await mkdir(dirname(join(VENDOR, path)), { recursive: true });
    await writeFile(join(VENDOR, path), /** @type {string} */ (wanted.get(path)));
    console.log(`static/vendor/${path} written`);
  }
}

await main();
