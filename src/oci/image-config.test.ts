import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalJson } from './canonical-json.ts';
import { sha256 } from './digest.ts';
import { MAX_LAYERS, parseImageConfig } from './image-config.ts';

const DIFF_ID = sha256('layer');

test('a document is read whole, unknown fields too', () => {
  const config = parseImageConfig(
    '{"os":"linux","architecture":"amd64","x":1,"config":{"Labels":{"__proto__":"plain"},"Cmd":null},"rootfs":{"type":"layers","diff_ids":null}}',
  );
  assert.deepEqual(config.rootfs.diff_ids, []);
  assert.ok(Object.hasOwn(config.config!.Labels!, '__proto__'));
  assert.equal((config as unknown as { x: number }).x, 1);
});

for (const [what, text] of [
  ['not JSON', '{'],
  ['a list', '[]'],
  ['no rootfs', '{}'],
  ['a diff id that is none', '{"rootfs":{"diff_ids":["../x"]}}'],
  ['a command that is text', '{"rootfs":{},"config":{"Cmd":"sh"}}'],
  ['a variable that is a number', '{"rootfs":{},"config":{"Env":[1]}}'],
  ['a NUL in a variable', '{"rootfs":{},"config":{"Env":["A=b\\u0000c"]}}'],
  ['a label that is an object', '{"rootfs":{},"config":{"Labels":{"a":{}}}}'],
  ['a negative interval', '{"rootfs":{},"config":{"Healthcheck":{"Interval":-1}}}'],
  ['more history than layers', '{"rootfs":{},"history":[{}]}'],
] as const) {
  test(`${what} is refused`, () => assert.throws(() => parseImageConfig(text), { code: 'corrupt' }));
}

test('too many layers are refused', () => {
  const diff_ids = Array.from({ length: MAX_LAYERS + 1 }, () => DIFF_ID);
  assert.throws(() => parseImageConfig(JSON.stringify({ rootfs: { diff_ids } })), { code: 'too-large' });
});

test('canonical JSON does not depend on the order of insertion', () => {
  assert.equal(canonicalJson({ b: [1, { d: null, c: undefined }], a: 'x' }), '{"a":"x","b":[1,{"d":null}]}');
  assert.equal(canonicalJson(JSON.parse('{"z":1,"__proto__":2}')), '{"__proto__":2,"z":1}');
});
