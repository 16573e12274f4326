// The few parts of Node that the tests use; the pages' own code must not see Node's globals.

declare module "node:test" {
  type Body = () => void | Promise<void>;
  export function test(name: string, body: Body): void;
  export function test(name: string, options: { skip?: boolean | string }, body: Body): void;
}

declare module "node:assert/strict" {
  function assert(value: unknown, message?: string): asserts value;
  namespace assert {
    function equal(actual: unknown, expected: unknown, message?: string): void;
    function notEqual(actual: unknown, expected: unknown, message?: string): void;
    function deepEqual(actual: unknown, expected: unknown, message?: string): void;
    function ok(value: unknown, message?: string): asserts value;
    function match(actual: string, expected: RegExp, message?: string): void;
    function fail(message: string): never;
    function throws(body: () => unknown, expected?: RegExp): void;
  }
  export default assert;
}

declare module "node:fs" {
  export function existsSync(path: URL): boolean;
  export function readFileSync(path: URL, encoding: "utf8"): string;
}

declare const process: { env: Record<string, string | undefined> };
