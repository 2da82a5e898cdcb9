import { isSecretName } from '../../../build/lint/instructions.ts';
import type { Attestation } from '../outputs/built-image.ts';
import type { BuildRecord } from '../../../state/build-records.ts';
import type { BuildVertex } from '../build-event.ts';
import type { ResolvedSource } from '../solved-build.ts';
import type { ProvenanceOption } from './option.ts';

/** What a build was asked, as far as it may be told. */
export interface BuildParameters {
  /** Name of the Dockerfile; undefined where there is none: a build from a definition. */
  readonly dockerfile: string | undefined;
  readonly target: string | undefined;
  readonly buildArgs: Readonly<Record<string, string | null>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Git or http address of the context. */
  readonly remote: string | undefined;
  /** `linux/amd64` of the machine that builds. */
  readonly host: string;
  /** Directories of the client that it had. */
  readonly locals: readonly string[];
}

/** What was done, and with what. */
export interface ProvenSteps {
  readonly sources: readonly ResolvedSource[];
  readonly platform: string;
  /** The Dockerfile's text. */
  readonly dockerfile?: string;
  readonly steps: readonly {
    /** Undefined for operations of a definition, which have no place in a file. */
    readonly vertex?: BuildVertex;
    readonly record: BuildRecord;
  }[];
}

const BUILD_TYPE = 'https://mobyproject.org/buildkit@v1';
const BUILD_TYPE_V1 = 'https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md';

/**
 * How an image was made (https://slsa.dev/provenance/v1, and v0.2): what it came from, by digest; with mode max, with which
 * arguments and of what Dockerfile. No times and no numbers of its own: the same build says the same.
 */
export function provenance(
  solved: ProvenSteps,
  parameters: BuildParameters,
  { mode, version, builderId }: ProvenanceOption,
): Attestation {
  const max = mode === 'max';
  const materials = uniqueSources(solved.sources).map((source) => ({
    uri: sourceUri(source, solved.platform),
    digest: digestOf(source),
  }));
  const args = max ? { ...argumentsOf(parameters), ...(parameters.target && { target: parameters.target }) } : {};
  const configSource = {
    ...(parameters.remote !== undefined && { uri: parameters.remote }),
    ...(parameters.dockerfile !== undefined && {
      [version === 'v1' ? 'path' : 'entryPoint']: parameters.dockerfile,
    }),
  };
  const request = {
    frontend: parameters.dockerfile === undefined ? '' : 'dockerfile.v0',
    ...(max && { args, locals: parameters.locals.map((name) => ({ name })) }),
  };
  const source =
    max && parameters.dockerfile !== undefined && solved.dockerfile !== undefined
      ? {
          infos: [
            {
              filename: parameters.dockerfile,
              language: 'Dockerfile',
              data: Buffer.from(solved.dockerfile).toString('base64'),
            },
          ],
        }
      : undefined;
  const completeness = { request: max, resolvedDependencies: false };
  if (version === 'v1') {
    return {
      predicateType: 'https://slsa.dev/provenance/v1',
      predicate: {
        buildDefinition: {
          buildType: BUILD_TYPE_V1,
          externalParameters: { configSource, request },
          internalParameters: {
            builderPlatform: parameters.host,
            ...(max && { buildConfig: { steps: steps(solved) } }),
          },
          resolvedDependencies: materials,
        },
        runDetails: {
          builder: { id: builderId },
          metadata: { buildkit_completeness: completeness, ...(source && { buildkit_metadata: { source } }) },
        },
      },
    };
  }
  return {
    predicateType: 'https://slsa.dev/provenance/v0.2',
    predicate: {
      builder: { id: builderId },
      buildType: BUILD_TYPE,
      materials,
      invocation: {
        configSource,
        parameters: request,
        environment: { platform: parameters.host },
      },
      ...(max && { buildConfig: { steps: steps(solved) } }),
      metadata: {
        completeness: { parameters: max, environment: true, materials: false },
        reproducible: false,
        ...(source && { 'https://mobyproject.org/buildkit@v1#metadata': { source } }),
      },
    },
  };
}

/** Arguments that look like secrets are named, and not told. */
function argumentsOf({ buildArgs, labels }: BuildParameters): Record<string, string> {
  const args: Record<string, string> = {};
  for (const [name, value] of Object.entries(buildArgs))
    if (value !== null) args[`build-arg:${name}`] = isSecretName(name) ? '(hidden)' : value;
  for (const [name, value] of Object.entries(labels)) args[`label:${name}`] = value;
  return args;
}

function steps({ steps: solved }: ProvenSteps): unknown[] {
  const place = ({ vertex }: ProvenSteps['steps'][number]): number =>
    vertex ? vertex.stage.index * 100_000 + vertex.position : 0;
  return solved
    .toSorted((a, b) => place(a) - place(b))
    .map(({ vertex, record }, index) => ({
      id: vertex?.id ?? String(index),
      op: vertex?.text ?? record.text,
      ...(vertex && { line: vertex.line }),
      digest: record.key,
      ...(record.layer && { layer: record.layer.diffId }),
    }));
}

function uniqueSources(sources: readonly ResolvedSource[]): ResolvedSource[] {
  const found = new Map(sources.map((source) => [`${source.kind} ${source.name} ${source.digest}`, source]));
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function sourceUri({ kind, name, platform }: ResolvedSource, target: string): string {
  if (kind !== 'image') return name;
  const match = /^(.*?)(?::([^:/@]+))?(?:@.*)?$/.exec(name)!;
  // A name without a tag is the tag that nobody writes; one with a digest has none.
  const tag = match[2] ?? (name.includes('@') ? undefined : 'latest');
  return `pkg:docker/${match[1]}${tag === undefined ? '' : `@${tag}`}?platform=${encodeURIComponent(platform ?? target)}`;
}

function digestOf({ digest }: ResolvedSource): Record<string, string> {
  const cut = digest.indexOf(':');
  return { [digest.slice(0, cut)]: digest.slice(cut + 1) };
}
