import { join } from 'node:path';
import { isRemote } from '../../../compose/model/paths.ts';
import type { Project, Service } from '../../../compose/project/project.ts';
import { type BuildOptions, linkedServices, serviceBuildLine } from './build-line.ts';

type Field = string | boolean | readonly string[] | Readonly<Record<string, string>>;

/** How a flag of `build` is said in a bake file; undefined: it is not. In the order in which Docker's Compose writes them. */
const FIELDS: Readonly<Record<string, [name: string, form: (values: readonly string[]) => Field]>> = {
  'build-context': ['contexts', named],
  file: ['dockerfile', only],
  'build-arg': ['args', named],
  label: ['labels', named],
  tag: ['tags', all],
  'cache-from': ['cache-from', all],
  'cache-to': ['cache-to', all],
  target: ['target', only],
  secret: ['secret', all],
  ssh: ['ssh', all],
  platform: ['platforms', (values) => values.flatMap((value) => value.split(','))],
  pull: ['pull', () => true],
  'no-cache': ['no-cache', () => true],
  'no-cache-filter': ['no-cache-filter', all],
  network: ['network', only],
  'shm-size': ['shm-size', only],
  ulimit: ['ulimits', all],
  allow: ['entitlements', all],
  'add-host': ['extra-hosts', hosts],
};

/** The text of a bake file (JSON) that builds what these services build, in the order given. Throws as their builds do. */
export function bakeFile(
  project: Project,
  services: readonly Service[],
  options: BuildOptions & { readonly push: boolean },
): string {
  const target = Object.fromEntries(services.map((service) => [service.name, bakeTarget(project, service, options)]));
  const group = { default: { targets: services.map(({ name }) => name) } };
  return JSON.stringify({ group, target }, undefined, 2);
}

function bakeTarget(
  project: Project,
  service: Service,
  options: BuildOptions & { readonly push: boolean },
): Record<string, Field> {
  const addresses = new Map([...linkedServices(service).values()].map((name) => [name, `target:${name}`]));
  const { words, dockerfile } = serviceBuildLine(project, service, { ...options, addresses, locked: false });
  const context = words.at(-1)!;
  const given = new Map<string, string[]>();
  for (const word of words.slice(0, words.lastIndexOf('--'))) {
    const [, name = '', value = ''] = /^--([\w-]+)=?(.*)$/s.exec(word) ?? [];
    given.set(name, [...(given.get(name) ?? []), value]);
  }
  const fields: Record<string, Field> = { context };
  if (!given.has('file') && !isRemote(context)) given.set('file', [join(context, 'Dockerfile')]);
  for (const [flag, [name, form]] of Object.entries(FIELDS)) {
    const values = given.get(flag);
    if (!values) continue;
    if (flag === 'file' && dockerfile !== undefined) fields['dockerfile-inline'] = dockerfile;
    else fields[name] = form(values);
  }
  const pushes = options.push && service.model['image'] !== undefined;
  fields['output'] = [pushes ? 'type=registry' : 'type=docker'];
  const attest = ['provenance', 'sbom'].flatMap((type) =>
    (given.get(type) ?? []).map((value) => attestation(type, value)),
  );
  if (attest.length > 0) fields['attest'] = attest;
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, escaped(field)]));
}

function attestation(type: string, value: string): string {
  if (value === 'true') return `type=${type}`;
  return `type=${type},${value === 'false' ? 'disabled=true' : value}`;
}

function only(values: readonly string[]): string {
  return values[0]!;
}

function all(values: readonly string[]): readonly string[] {
  return values;
}

function named(values: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    values.map((value) => {
      const cut = value.indexOf('=');
      return [value.slice(0, cut), value.slice(cut + 1)];
    }),
  );
}

/** A name may have several addresses, each in a word of its own. */
function hosts(values: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const value of values) {
    const cut = value.indexOf(':');
    const name = value.slice(0, cut);
    const address = value.slice(cut + 1);
    found[name] = found[name] === undefined ? address : `${found[name]},${address}`;
  }
  return found;
}

/** In a bake file these begin what is to be computed. */
function escaped(field: Field): Field {
  const escape = (text: string): string => text.replace(/([$%])\{/g, '$1$1{');
  if (typeof field === 'string') return escape(field);
  if (typeof field === 'boolean') return field;
  if (Array.isArray(field)) return (field as readonly string[]).map(escape);
  return Object.fromEntries(Object.entries(field).map(([name, text]) => [name, escape(text as string)]));
}
