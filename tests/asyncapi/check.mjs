import { readFileSync } from "node:fs";
import parserPackage from "@asyncapi/parser";

const { Parser } = parserPackage;
const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
for (const one of diagnostics) console.log(one.severity, one.code, one.path.join("."), one.message);
const operations = document ? document.operations().all().map((one) => one.id()) : [];
console.log(JSON.stringify({ valid: document !== undefined, operations }));
