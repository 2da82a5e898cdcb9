import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildCheckDocument, BuildDescriptionDocument } from '../../api/gantry.ts';
import { EngineError } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import type { OperationOptions } from '../../base/operation.ts';
import { describeOutline, describeTargets } from '../../build/describe.ts';
import { assembleDockerfile } from '../../build/dockerfile/include.ts';
import { type Dockerfile, readStages } from '../../build/dockerfile/instructions.ts';
import { parseDockerfile, type ParsedDockerfile } from '../../build/dockerfile/parse.ts';
import { DockerfileSource } from '../../build/dockerfile/source.ts';
import { checkBaseNames } from '../../build/lint/base-names.ts';
import { BUILDKIT_RULES } from '../../build/lint/buildkit-rules.ts';
import { lintDockerfile } from '../../build/lint/lint.ts';
import { namedImages } from '../../build/plan.ts';
import type { Bytes } from '../../content/content-store.ts';
import { formatPlatform } from '../../oci/platform.ts';
import type { BuildRequest } from '../engine.ts';
import type { BuilderParts } from './builder-parts.ts';
import { readContextFile, readIgnore, readIncludedFile, withExcerpt } from './context-dockerfile.ts';
import { platformArguments, platformsOf } from './platforms.ts';

/** What can be said of a Dockerfile without building it. */
export class DockerfileInspection {
  readonly #parts: Pick<BuilderParts, 'temporary' | 'extract' | 'images'>;

  constructor(parts: Pick<BuilderParts, 'temporary' | 'extract' | 'images'>) {
    this.#parts = parts;
  }

  async check(
    context: Bytes,
    request: Pick<BuildRequest, 'dockerfile' | 'platform' | 'buildArgs'> & { readonly namesOnly?: boolean },
    { signal }: OperationOptions = {},
  ): Promise<BuildCheckDocument> {
    return this.#read(context, { request, signal }, async ({ root, name, source }) => {
      const { text } = source;
      const parsed = parseDockerfile(text);
      const stages = readStages(parsed);
      const bases = await this.#bases(stages);
      const names = request.namesOnly === true ? new Set(await readdir(root, { recursive: true })) : undefined;
      const buildArgs = new Map(Object.entries(request.buildArgs ?? {}).filter(([, value]) => value !== null));
      const { warnings, fails } = lintDockerfile(parsed, {
        ignore: await readIgnore(root, name),
        platformArgs: platformArguments(platformsOf(request.platform)[0]),
        environmentOf: (reference) => bases.get(reference)?.environment,
        platformOf: (reference) => bases.get(reference)?.platform,
        contextHas: names && ((path) => names.has(join('/', path).slice(1))),
        text,
      });
      const platformArgs = platformArguments(platformsOf(request.platform)[0]);
      checkBaseNames(stages, { buildArgs: buildArgs as ReadonlyMap<string, string>, platformArgs });
      return {
        Warnings: warnings.map(({ rule, message, range }) => ({
          Rule: rule,
          Message: message,
          Line: source.at(range.start).line,
          Excerpt: source.excerpt(range),
          Own: !BUILDKIT_RULES.has(rule),
        })),
        Fails: fails,
        Images: namedImages(stages, {
          buildArgs: buildArgs as ReadonlyMap<string, string>,
          platformArgs: platformArguments(platformsOf(request.platform)[0]),
        }),
      };
    });
  }

  async describe(
    context: Bytes,
    request: Pick<BuildRequest, 'dockerfile' | 'platform' | 'target' | 'buildArgs'>,
    { signal }: OperationOptions = {},
  ): Promise<BuildDescriptionDocument> {
    return this.#read(context, { request, signal }, async ({ source: { text } }) => {
      const dockerfile = readStages(parseDockerfile(text));
      const buildArgs = new Map(
        Object.entries(request.buildArgs ?? {}).filter((entry): entry is [string, string] => entry[1] !== null),
      );
      const outline = describeOutline(dockerfile, text, {
        target: request.target,
        buildArgs,
        platformArgs: platformArguments(platformsOf(request.platform)[0]),
      });
      return { Targets: describeTargets(dockerfile, text), Outline: outline };
    });
  }

  /** What BuildKit's rules find in a file that takes warnings for errors (`# check=error=true`); nothing in any other. */
  async violations(
    parsed: ParsedDockerfile,
    { ignore, platform }: { readonly ignore: readonly string[]; readonly platform: string | undefined },
  ): Promise<readonly string[]> {
    if (!/error\s*=\s*true/i.test(parsed.directives['check'] ?? '')) return [];
    const bases = await this.#bases(readStages(parsed));
    const { warnings, fails } = lintDockerfile(parsed, {
      ignore,
      platformArgs: platformArguments(platformsOf(platform)[0]),
      environmentOf: (reference) => bases.get(reference)?.environment,
      platformOf: (reference) => bases.get(reference)?.platform,
    });
    const rules = fails ? warnings.map(({ rule }) => rule).filter((rule) => BUILDKIT_RULES.has(rule)) : [];
    return [...new Set(rules)].sort();
  }

  /** Unpacks a context for as long as `work` looks at its Dockerfile. */
  async #read<T>(
    context: Bytes,
    {
      request,
      signal,
    }: { readonly request: Pick<BuildRequest, 'dockerfile' | 'buildArgs'>; readonly signal: AbortSignal | undefined },
    work: (file: { readonly root: string; readonly name: string; readonly source: DockerfileSource }) => Promise<T>,
  ): Promise<T> {
    const name = request.dockerfile || 'Dockerfile';
    const root = join(this.#parts.temporary, `inspect-${newId().slice(0, 16)}`);
    await mkdir(root, { recursive: true, mode: 0o700 });
    try {
      await this.#parts.extract(context, root, signal);
      const text = await readContextFile(root, name);
      let source = DockerfileSource.of({ name, text });
      const chosen = request.buildArgs?.['BUILDKIT_SYNTAX'] ?? undefined;
      return await withExcerpt(
        () => source,
        async () => {
          source = await assembleDockerfile(source.files[0]!, {
            chosen,
            inContext: true,
            read: async (path, from) => {
              if (from !== undefined)
                throw new EngineError('invalid-argument', 'only a build has other contexts than its own');
              return readIncludedFile(root, path);
            },
          });
          return work({ root, name, source });
        },
      );
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  }

  /** Environments and platforms of those base images that are here. */
  async #bases({ stages }: Dockerfile): Promise<Map<string, { environment: readonly string[]; platform: string }>> {
    const found = new Map<string, { environment: readonly string[]; platform: string }>();
    for (const { base } of stages) {
      const image = await this.#parts.images.resolve(base).catch(() => undefined);
      if (!image) continue;
      const { config, os, architecture, variant } = image.config;
      const platform = formatPlatform({ os, architecture, ...(variant && { variant }) });
      found.set(base, { environment: config?.Env ?? [], platform });
    }
    return found;
  }
}
