/** Our check of Compose files against the specification's own schema, over all cases of the model and what can be made of them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import { UNIQUE } from '../../../src/compose/model/merge.ts';
import { Places } from '../../../src/compose/model/place.ts';
import { validateSchema } from '../../../src/compose/model/schema.ts';
import { type Dict, dict, isDict, type Value } from '../../../src/compose/model/value.ts';
import { readYaml } from '../../../src/compose/model/yaml.ts';
import { caseGroups, readCases } from './case-file.ts';

// Formats are texts that later steps read: `5s`, `80:80`.
const official = new Ajv2020({ strict: false, validateFormats: false, allErrors: true }).compile(
  JSON.parse(readFileSync(join(import.meta.dirname, '../schema/compose-spec.json'), 'utf8')) as object,
);

/** Ours changes what it reads: texts for switches. */
function copy(value: Value): Value {
  if (Array.isArray(value)) return value.map(copy);
  return isDict(value) ? dict(Object.entries(value).map(([key, item]) => [key, copy(item)])) : value;
}

function ourWords(tree: Dict): string | undefined {
  try {
    validateSchema(copy(tree) as Dict, { places: new Places(), interpolated: new Set(), file: 'compose.yaml' });
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Why two verdicts may differ; undefined where they must not. */
function excuse(ours: string | undefined, theirs: readonly ErrorObject[]): string | undefined {
  // The schema takes any text there for its variables' sake; ours knows what became of them.
  if (ours !== undefined && theirs.length === 0 && / must be a boolean, not "/.test(ours)) return 'texts for switches';
  // Docker leaves doubles out of these lists, as the specification's text says, before its schema sees them.
  const doubles = theirs.filter(({ keyword, instancePath }) => {
    const [, top, , key, ...rest] = instancePath.split('/');
    return keyword === 'uniqueItems' && top === 'services' && rest.length === 0 && UNIQUE.has(key!);
  });
  if (ours === undefined && doubles.length > 0) {
    const only = theirs.every(
      (error) => doubles.includes(error) || doubles.some((one) => one.instancePath.startsWith(error.instancePath)),
    );
    if (only) return 'doubles';
  }
  return undefined;
}

function compare(tree: Dict, what: string, excused: Map<string, number>): void {
  const ours = ourWords(tree);
  official(JSON.parse(JSON.stringify(tree)));
  const theirs = official.errors ?? [];
  if ((ours === undefined) === (theirs.length === 0)) return;
  const why = excuse(ours, theirs);
  const said = theirs.map(({ instancePath, message }) => `${instancePath} ${message}`).join('; ');
  assert.ok(why, `${what}: ours says ${ours ?? 'yes'}, the specification ${said || 'yes'}\n${JSON.stringify(tree)}`);
  excused.set(why, (excused.get(why) ?? 0) + 1);
}

function* trees(): Generator<readonly [string, Dict]> {
  for (const group of caseGroups())
    for (const { name, files } of readCases(group))
      for (const [file, text] of files) {
        if (!/\.ya?ml$/.test(file)) continue;
        try {
          for (const { tree } of readYaml(text, file, { places: new Places() })) yield [`${group}: ${name}`, tree];
        } catch {
          // no YAML: a case about that
        }
      }
}

/** Every place of a tree. */
function* placesOf(value: Value, depth = 0): Generator<readonly [Dict | Value[], string | number]> {
  if (depth > 7 || typeof value !== 'object' || value === null) return;
  for (const key of Array.isArray(value) ? value.keys() : Object.keys(value)) {
    yield [value, key];
    yield* placesOf((value as Dict)[key]!, depth + 1);
  }
}

const OTHERS: readonly Value[] = ['text', 7, -1.5, true, null, [], ['a'], ['a', 'a'], {}, { a: 'b' }, { a: { b: 1 } }];

test('what the specification takes we take, and what it refuses we refuse', () => {
  let cases = 0;
  const excused = new Map<string, number>();
  for (const [name, tree] of trees()) {
    compare(tree, name, excused);
    cases++;
  }
  assert.ok(cases >= 300, `${cases} files`);
});

test('so for every case with one value changed, one key too many, and one too few', () => {
  let count = 0;
  const excused = new Map<string, number>();
  const seen = new Set<string>();
  for (const [name, tree] of trees()) {
    // What was changed alike in another case says nothing new.
    const text = JSON.stringify(tree);
    if (seen.has(text)) continue;
    seen.add(text);
    const changed = copy(tree) as Dict;
    for (const [container, key] of placesOf(changed)) {
      const holder = container as Dict;
      const was = holder[key]!;
      const other = OTHERS[count % OTHERS.length]!;
      holder[key] = other;
      compare(changed, name, excused);
      holder[key] = was;
      if (!Array.isArray(container)) {
        delete holder[key];
        holder[`${key}x`] = was;
        compare(changed, name, excused);
        delete holder[`${key}x`];
        compare(changed, name, excused);
        holder[key] = was;
      }
      count++;
    }
  }
  assert.ok(count > 3000, `${count} places`);
  assert.deepEqual([...excused.keys()].sort(), ['doubles', 'texts for switches']);
});
