import { type Dockerfile, readStages } from '../../build/dockerfile/instructions.ts';
import { parseDockerfile, type ParsedDockerfile } from '../../build/dockerfile/parse.ts';
import { namedImages } from '../../build/plan.ts';
import { BUILDKIT_RULES } from '../../build/lint/buildkit-rules.ts';
import { lintDockerfile, type LintResult } from '../../build/lint/lint.ts';
import { platformArguments } from '../../engine/builder/platforms.ts';
import type { EngineServices } from '../../engine/engine.ts';
import type { FrontendOptions } from './attributes.ts';
import type { ClientDockerfile } from './dockerfile.ts';

/**
 * What BuildKit's rules find in a Dockerfile; rules of our own are for our own command, as scripts that ask buildx take any
 * warning for a failure. Throws `invalid-argument` as a build would.
 */
export async function findingsOf(
  engine: Pick<EngineServices, 'images'>,
  file: ClientDockerfile,
  options: FrontendOptions,
): Promise<LintResult> {
  const parsed = withCheck(parseDockerfile(file.text), options.request.buildArgs?.['BUILDKIT_DOCKERFILE_CHECK']);
  const platformArgs = platformArguments(options.platforms[0]);
  const environments = await baseEnvironments(engine, readStages(parsed), platformArgs);
  const { warnings, fails } = lintDockerfile(parsed, {
    ignore: file.ignore,
    platformArgs,
    environmentOf: (reference) => environments.get(reference),
  });
  const found = warnings.filter(({ rule }) => BUILDKIT_RULES.has(rule));
  return { warnings: found, fails: fails && found.length > 0 };
}

/** A build argument stands for the file's own `# check=`. */
function withCheck(parsed: ParsedDockerfile, check: string | null | undefined): ParsedDockerfile {
  return typeof check === 'string' ? { ...parsed, directives: { ...parsed.directives, check } } : parsed;
}

/** Environments of those base images that are here. */
async function baseEnvironments(
  { images }: Pick<EngineServices, 'images'>,
  dockerfile: Dockerfile,
  platformArgs: ReadonlyMap<string, string>,
): Promise<Map<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>();
  for (const base of namedImages(dockerfile, { buildArgs: new Map(), platformArgs })) {
    const image = await images.inspect(base).catch(() => undefined);
    if (image) found.set(base, image.Config?.Env ?? []);
  }
  return found;
}
