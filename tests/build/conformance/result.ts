import { createHash } from 'node:crypto';
import { readTar } from '../../../src/content/tar/reader.ts';
import type { Bytes } from '../../../src/content/content-store.ts';
import type { ImageRunConfig } from '../../../src/oci/image.ts';

/** What a build gave, as far as two builders can agree on it. */
export interface BuildResult {
  /** Path → `file 644 0:0 hello`, only what is not in the base image. */
  readonly files?: Readonly<Record<string, string>>;
  readonly config?: Readonly<Record<string, unknown>>;
  /** The class of the failure; undefined when the build succeeded. */
  readonly error?: string;
}

const IGNORED = /^(dev|proc|sys)(\/|$)|^etc\/(hosts|hostname|resolv\.conf|mtab)$|^\.dockerenv$|^etc$/;
const MAX_TEXT = 60;

/** Path → description of everything in a root filesystem's tar. */
export async function describeFiles(tar: Bytes): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const inodes = new Map<string, string>();
  for await (const { header, body } of readTar(tar)) {
    const path = Buffer.from(header.name, 'latin1')
      .toString('utf8')
      .replace(/^\.?\//, '')
      .replace(/\/$/, '');
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(Buffer.from(chunk));
    if (path === '' || IGNORED.test(path)) continue;
    const owner = `${header.uid}:${header.gid}`;
    const mode = (header.mode & 0o7777).toString(8);
    if (header.type === 'symlink') found.set(path, `link ${owner} → ${header.linkName}`);
    else if (header.type === 'hard-link') {
      const target = header.linkName.replace(/^\.?\//, '');
      found.set(path, inodes.get(target) ?? `hard link → ${target}`);
    } else {
      const content = header.type === 'file' ? ` ${textOf(Buffer.concat(chunks))}` : '';
      found.set(path, `${header.type} ${mode} ${owner}${content}`);
    }
    inodes.set(path, found.get(path)!);
  }
  return found;
}

/** What `files` has and `base` has not, or has otherwise; what is gone is said too. */
export function changedFiles(
  files: ReadonlyMap<string, string>,
  base: ReadonlyMap<string, string>,
): Record<string, string> {
  const changed = [...files].filter(([path, text]) => base.get(path) !== text);
  const gone = [...base.keys()].filter((path) => !files.has(path)).map((path): [string, string] => [path, 'gone']);
  return Object.fromEntries([...changed, ...gone].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The configuration without what is empty. */
export function describeConfig(config: ImageRunConfig): Record<string, unknown> {
  const fields = Object.entries(config).filter(
    ([name, value]) =>
      KNOWN.has(name) &&
      value !== null &&
      value !== '' &&
      JSON.stringify(value) !== '[]' &&
      JSON.stringify(value) !== '{}',
  );
  return Object.fromEntries(fields.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Failures in other words are the same when their class is. */
export function errorClass(message: string): string {
  for (const [name, pattern] of CLASSES) if (pattern.test(message)) return name;
  return `other: ${message.slice(0, 200)}`;
}

const KNOWN = new Set([
  'User',
  'ExposedPorts',
  'Env',
  'Entrypoint',
  'Cmd',
  'Volumes',
  'WorkingDir',
  'Labels',
  'StopSignal',
  'Healthcheck',
  'OnBuild',
  'Shell',
]);

const CLASSES: readonly (readonly [name: string, pattern: RegExp])[] = [
  ['lint', /lint violation/],
  ['exit code', /exit code: \d+|non-zero code/],
  [
    'syntax',
    /unterminated|must have|no instructions|no stages|only one|no target|: needed|parse error|unknown instruction|unknown flag|requires|syntax error|unexpected|must be|invalid field|can't|cannot be blank|should not be blank|failed to process|no build stage|bad substitution|not allowed|isn't allowed|missing|Unknown type|unsupported|invalid|empty|duplicate|unset|variable expansion/i,
  ],
  [
    'not found',
    /not found|could not be found|does not exist|no such|unable to find|circular|pull access denied|not possible|Bad Request|failed to resolve|cannot fetch|dial tcp|cannot reach a registry/i,
  ],
  ['in the way', /not a directory|cannot (copy|replace)|is a directory|file exists/i],
];

function textOf(content: Buffer): string {
  const text = content.toString('utf8');
  // eslint-disable-next-line no-control-regex
  if (content.length <= MAX_TEXT && !/[\0-\x08\uFFFD]/.test(text)) return JSON.stringify(text);
  return `${content.length} bytes ${createHash('sha256').update(content).digest('hex').slice(0, 12)}`;
}
