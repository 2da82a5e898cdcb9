import fs from 'node:fs';
import { basename, join, posix, relative, sep } from 'node:path';
import { PathPatterns } from '../../base/path-patterns.ts';
import { asDict, asList, asText, asTexts, type Dict, textOf } from '../model/value.ts';
import type { Service } from '../project/project.ts';

export type WatchAction = 'sync' | 'rebuild' | 'restart' | 'sync+restart' | 'sync+exec';

/** What editors write beside the file they save, and what nobody wants in a container. */
const NOISE = [
  '**/.git',
  '**/.DS_Store',
  '**/*~',
  '**/.*.sw?',
  '**/.*.swx',
  '**/#*#',
  '**/.#*',
  '**/4913',
  '**/___jb_*___',
];

/** One line of a service's `develop.watch`. */
export class WatchRule {
  readonly service: Service;
  /** Absolute; a file or a directory. */
  readonly path: string;
  readonly action: WatchAction;
  readonly target: string;
  readonly initialSync: boolean;
  readonly exec: Dict;
  readonly #ignored: PathPatterns;
  readonly #included: PathPatterns | undefined;
  readonly #context: { readonly directory: string; readonly patterns: PathPatterns } | undefined;

  /** Throws `invalid-argument` for patterns that are none. */
  constructor(service: Service, model: Dict) {
    this.service = service;
    this.path = textOf(model['path']);
    this.action = textOf(model['action']) as WatchAction;
    this.target = asText(model['target']) ?? '';
    this.initialSync = model['initial_sync'] === true;
    this.exec = asDict(model['exec']);
    this.#ignored = new PathPatterns([...NOISE, ...asTexts(model['ignore']).map(plain)]);
    const included = asTexts(model['include']).map(plain);
    this.#included =
      included.length === 0 ? undefined : new PathPatterns(included.flatMap((item) => [item, `**/${item}`]));
    this.#context = contextPatterns(service);
  }

  get syncs(): boolean {
    return this.action.startsWith('sync');
  }

  /** Whether a directory need not be looked into. */
  skips(path: string): boolean {
    return path !== this.path && this.#isIgnored(path);
  }

  matches(path: string): boolean {
    const below = this.#below(path);
    if (below === undefined || this.#isIgnored(path)) return false;
    return !this.#included || below === '' || this.#included.matches(below);
  }

  /** Where a path of the host is in the container. */
  inContainer(path: string): string {
    const below = this.#below(path) ?? '';
    return below === '' ? this.target : posix.join(this.target, below);
  }

  #below(path: string): string | undefined {
    if (path === this.path) return '';
    const below = relative(this.path, path);
    return below.startsWith('..') ? undefined : below.split(sep).join('/');
  }

  #isIgnored(path: string): boolean {
    const below = this.#below(path);
    if (this.#ignored.matches(below === undefined || below === '' ? basename(path) : below)) return true;
    if (!this.#context) return false;
    const inContext = relative(this.#context.directory, path);
    return (
      inContext !== '' && !inContext.startsWith('..') && this.#context.patterns.matches(inContext.split(sep).join('/'))
    );
  }
}

/** A slash at the end says that it is a directory; the patterns need none. */
function plain(pattern: string): string {
  return pattern.replace(/\/+$/, '');
}

/** What a build does not see, a watch does not see. */
function contextPatterns(service: Service): { directory: string; patterns: PathPatterns } | undefined {
  const directory = asText(asDict(service.model['build'])['context']);
  if (directory === undefined) return undefined;
  try {
    return { directory, patterns: PathPatterns.parse(fs.readFileSync(join(directory, '.dockerignore'), 'utf8')) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return undefined;
  }
}

export function watchRules(services: Iterable<Service>): WatchRule[] {
  return [...services].flatMap((service) =>
    asList(asDict(service.model['develop'])['watch']).map((rule) => new WatchRule(service, asDict(rule))),
  );
}
