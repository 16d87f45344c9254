// Reads an AsyncAPI document and prints its faults, errors and warnings, and its operations as JSON.
import { readFileSync } from "node:fs";
import asyncapi from "@asyncapi/parser";

const WARNING = 1;
const { document, diagnostics } = await new asyncapi.Parser().parse(readFileSync(0, "utf8"));
const faults = diagnostics
  .filter((one) => one.severity <= WARNING)
  .map((one) => `${one.path.join(".")}: ${one.message}`);
const operations = document ? document.operations().all().map((one) => one.id()) : [];
console.log(JSON.stringify({ faults, operations }));
