import type { ApiResult } from './run-case.ts';

export interface Difference {
  /** The case's name, or what fits several. */
  readonly at: string | RegExp;
  /** Which parts of the answer. */
  readonly part: RegExp;
  readonly why: string;
}

/** Where Gantry answers otherwise than dockerd 28.5, on purpose, and why. */
export const DIFFERENCES: readonly Difference[] = [
  {
    at: /limit=x|since=x|stop\?t=x|"relative:|\/tmp:relative|SecurityOpt/,
    part: /^\.status$/,
    why: 'what can never succeed as written is 400, where dockerd says 500',
  },
  { at: 'POST /containers/own0a/unpause', part: /^\.status$/, why: 'a state that forbids it is 409, as for pause' },
  { at: /v1(\.21)?\/version$/, part: /^\.(type|text)$/, why: 'every error is JSON, also to clients that are too old' },
  {
    at: /detachKeys=foo/,
    part: /^\.(type|text)$/,
    why: 'an attach that is refused is answered with JSON as any other',
  },
  { at: /\/secrets/, part: /^\./, why: 'secrets need no swarm' },
  {
    at: 'POST /session',
    part: /^\.(status|text)$/,
    why: 'what can never succeed as written is 400, and says which header is missing',
  },
  { at: /checkpoints/, part: /^\.text$/, why: 'checkpoints are not there, experimental or not' },
  { at: 'POST /containers/create foo', part: /^\.text$/, why: 'one set of words for what is no JSON' },
  { at: 'POST /auth', part: /^\.(status|text)$/, why: 'a missing body is 400, in the words of other requests' },
  { at: /"LogConfig":\{"Type":"nope"/, part: /^\.text$/, why: 'there are no logging plugins; it names the drivers' },
  { at: /platform=x\/y\/z\/w/, part: /^\.text$/, why: 'says what a platform looks like' },
  { at: 'GET /containers/own0a/archive', part: /^\.text$/, why: 'dockerd forgot a space and quotes' },
  { at: /changes=FOO/, part: /^\.text$/, why: 'suggests the instruction that was meant' },
  { at: /no tar$|no archive$/, part: /^\.(status|text)$/, why: 'says what is wrong with the archive' },
  {
    at: /^GET (~\/v1\.24)?\/info$/,
    part: /\.(CDISpecDirs|Containerd|KernelMemoryTCP|RuncCommit\.Expected|Runtimes\.\*\.status)\b/,
    why: 'there is no containerd, no CDI and no kernel memory limit here; runtimes are not asked for their features',
  },
  {
    at: /\/containers\/own0.\/json/,
    part: /\.LogConfig\.Config\b/,
    why: 'logs are bounded by default, and inspect shows the bound',
  },
  { at: /\/json/, part: /\.Config\.Env$/, why: 'an empty environment is an empty list, not null' },
  {
    at: /stats/,
    part: /\.blkio_stats\.(io_(merged|queue|service_time|time|wait_time)|sectors)_recursive$|\.shape\.(id|name)$/,
    why: 'counters that newer kernels do not have are null, as dockerd shows them on cgroup v2; a sample always has its name',
  },
  { at: /v1\.44\/images\/.*\/json/, part: /\.ContainerConfig\./, why: 'the old field is there, without content' },
  { at: /nope\/get|names=nope/, part: /^\.text$/, why: 'an image is named with its tag everywhere' },
  {
    at: 'POST /networks/create {"Name":"host"}',
    part: /^\.text$/,
    why: 'dockerd has a space too many',
  },
  { at: 'GET /networks/host', part: /^\.shape\.IPAM\.Config$/, why: 'no address ranges are an empty list, not null' },
  {
    at: /networks\/nope\/connect/,
    part: /^\.text$/,
    why: 'of two names that are wrong the first is told',
  },
  { at: 'POST /images/nope/push', part: /^\.status$/, why: 'what fails before anything was sent has a status' },
  {
    at: 'GET /containers/own0a/json',
    part: /\.DNSNames\b/,
    why: 'a container that does not run has no names on the network',
  },
  { at: '/build/cancel?id=x', part: /^\.type$/, why: 'an empty answer has no content type' },
];

/** Why this part of this case may differ; undefined when it may not. */
export function allowed(name: string, part: string): Difference | undefined {
  return DIFFERENCES.find(
    (one) => (typeof one.at === 'string' ? name.endsWith(one.at) : one.at.test(name)) && one.part.test(part),
  );
}

/** The parts in which two answers differ, each as one line. */
export function differencesOf(result: ApiResult, expected: ApiResult): { part: string; line: string }[] {
  const [ours, theirs] = [flatten(result), flatten(expected)];
  return [...new Set([...ours.keys(), ...theirs.keys()])]
    .filter((part) => ours.get(part) !== theirs.get(part))
    .map((part) => ({ part, line: `${part}: ${ours.get(part)}, where dockerd has ${theirs.get(part)}` }));
}

function flatten(value: unknown, path = '', into = new Map<string, string>()): Map<string, string> {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : undefined;
  if (!entries) into.set(path, JSON.stringify(value));
  else if (entries.length === 0) into.set(path, Array.isArray(value) ? '[]' : '{}');
  else for (const [key, item] of entries) flatten(item, `${path}.${key}`, into);
  return into;
}
