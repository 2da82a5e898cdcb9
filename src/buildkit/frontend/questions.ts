import { EngineError } from '../../base/errors.ts';
import { describeOutline, describeTargets } from '../../build/describe.ts';
import { readStages } from '../../build/dockerfile/instructions.ts';
import { parseDockerfile, type SourceRange } from '../../build/dockerfile/parse.ts';
import { checkBaseNames } from '../../build/lint/base-names.ts';
import type { LintResult } from '../../build/lint/lint.ts';
import type { EngineServices } from '../../engine/engine.ts';
import { create } from '@bufbuild/protobuf';
import { errorDetail, GRPC, GrpcError } from '../grpc/status.ts';
import { SubrequestSchema } from '../protocol/error-details_pb.ts';
import type { FrontendOptions } from './attributes.ts';
import { kebab } from './build-progress.ts';
import { findingsOf } from './findings.ts';
import type { ClientDockerfile } from './dockerfile.ts';

/** What a client may ask about a Dockerfile in place of building it: `--check`, `--call=outline`, `--call=targets`. */
export interface QuestionParts {
  readonly file: ClientDockerfile;
  readonly options: FrontendOptions;
  readonly platformArgs: ReadonlyMap<string, string>;
  readonly engine: Pick<EngineServices, 'images'>;
}

const DESCRIBED = [
  {
    name: 'frontend.outline',
    version: '1.0.0',
    type: 'rpc',
    description: 'List all parameters current build target supports',
    opts: [{ name: 'target', description: 'Target build stage' }],
    metadata: [{ name: 'result.json' }, { name: 'result.txt' }],
  },
  {
    name: 'frontend.targets',
    version: '1.0.0',
    type: 'rpc',
    description: 'List all targets current build supports',
    opts: [],
    metadata: [{ name: 'result.json' }, { name: 'result.txt' }],
  },
  {
    name: 'frontend.lint',
    version: '1.0.0',
    type: 'rpc',
    description: 'Lint a Dockerfile',
    opts: [],
    metadata: [{ name: 'result.json' }, { name: 'result.txt' }, { name: 'result.statuscode' }],
  },
  {
    name: 'frontend.subrequests.describe',
    version: '1.0.0',
    type: 'rpc',
    description: 'List available subrequest types',
    opts: [],
    metadata: [{ name: 'result.json' }, { name: 'result.txt' }],
  },
] as const;

/** The answer as the metadata of a result. Throws the protocol's error for a question that nobody knows. */
export async function answerQuestion(parts: QuestionParts): Promise<Record<string, string>> {
  switch (parts.options.question) {
    case 'frontend.lint':
      return lint(parts);
    case 'frontend.outline':
      return outline(parts);
    case 'frontend.targets':
      return targets(parts);
    case 'frontend.subrequests.describe': {
      const text = DESCRIBED.map(({ name, description }) => `${name}\n  ${description}\n`).join('');
      return { 'result.json': JSON.stringify(DESCRIBED), 'result.txt': text, version: '1.0.0' };
    }
    default: {
      const name = parts.options.question ?? '';
      throw new GrpcError(GRPC.unimplemented, `unsupported request ${name}`, {
        details: [errorDetail(SubrequestSchema, create(SubrequestSchema, { name }))],
      });
    }
  }
}

async function lint({ engine, file, options, platformArgs }: QuestionParts): Promise<Record<string, string>> {
  const location = (range: SourceRange): unknown => {
    const { start, end } = file.source.rangeOf(range);
    const index = file.source.files.indexOf(file.source.at(range.start).file);
    return { ...(index > 0 && { sourceIndex: index }), ranges: [{ start: { line: start }, end: { line: end } }] };
  };
  let warnings: LintResult['warnings'] = [];
  let buildError: { message: string; location: unknown } | undefined;
  try {
    const found = await findingsOf(engine, file, options);
    warnings = found.warnings;
    const rules = [...new Set(warnings.map(({ rule }) => rule))].sort();
    if (found.fails) buildError = { message: `lint violation found for rules: ${rules.join(', ')}`, location: {} };
    const buildArgs = new Map(
      Object.entries(options.request.buildArgs ?? {}).filter((pair): pair is [string, string] => pair[1] !== null),
    );
    checkBaseNames(readStages(parseDockerfile(file.text)), { buildArgs, platformArgs });
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    const line = Number(/line (\d+)/.exec(error.message)?.[1] ?? 1);
    const message = error.message.replace(/^dockerfile line \d+: /, '');
    buildError = { message, location: location({ start: line, end: line }) };
  }
  const json = {
    warnings:
      warnings.length === 0
        ? null
        : warnings.map(({ rule, message, range }) => ({
            ruleName: rule,
            description: message,
            url: `https://docs.docker.com/go/dockerfile/rule/${kebab(rule)}/`,
            detail: message,
            location: location(range),
          })),
    sources: file.source.files.map(({ name, text }) => ({
      filename: name,
      language: 'Dockerfile',
      data: base64(text),
    })),
    ...(buildError && { buildError }),
  };
  const text = warnings.map(
    ({ rule, message, range }) => `WARNING: ${rule} (line ${file.source.lineName(range.start)})\n${message}\n`,
  );
  return {
    'result.json': JSON.stringify(json, undefined, 2),
    'result.txt': text.join('\n'),
    'result.statuscode': warnings.length > 0 || buildError ? '1' : '0',
    version: '1.0.0',
  };
}

function targets({ file }: QuestionParts): Record<string, string> {
  const described = describeTargets(readStages(parseDockerfile(file.text)), file.text);
  const width = Math.max(
    8,
    ...described.targets.map(({ name, default: last }) => (name ?? '').length + (last ? 11 : 1)),
  );
  const lines = described.targets.map(
    ({ name = '', default: last, description = '' }) =>
      `${`${name}${last ? ' (default)' : ''}`.padEnd(width)}${description}`,
  );
  return {
    'result.json': JSON.stringify(described, undefined, 2),
    'result.txt': ['TARGET'.padEnd(width) + 'DESCRIPTION', ...lines].map((line) => `${line.trimEnd()}\n`).join(''),
    version: '1.0.0',
  };
}

function outline({ file, options, platformArgs }: QuestionParts): Record<string, string> {
  const buildArgs = new Map(
    Object.entries(options.request.buildArgs ?? {}).filter((pair): pair is [string, string] => pair[1] !== null),
  );
  const described = describeOutline(readStages(parseDockerfile(file.text)), file.text, {
    target: options.request.target,
    buildArgs,
    platformArgs,
  });
  const { args = [], secrets = [], ssh = [], cache = [] } = described;
  const list = (title: string, names: readonly string[]): string => {
    const lines = names.map((name) => `${name}\n`);
    return lines.length > 0 ? `${title}\n${lines.join('')}\n` : '';
  };
  const nameOf = ({ name }: { readonly name: string }): string => name;
  return {
    'result.json': JSON.stringify(described, undefined, 2),
    'result.txt':
      list('BUILD ARG', args.map(nameOf)) +
      list('SECRET', secrets.map(nameOf)) +
      list('SSH', ssh.map(nameOf)) +
      list(
        'CACHE MOUNT',
        cache.map(({ ID }) => ID),
      ),
    version: '1.0.0',
  };
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
