import { EngineError } from '../../base/errors.ts';
import { readStages, type Stage } from '../../build/dockerfile/instructions.ts';
import { parseDockerfile } from '../../build/dockerfile/parse.ts';
import { planBuild } from '../../build/plan.ts';
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

async function lint({ engine, file, options }: QuestionParts): Promise<Record<string, string>> {
  const source = { filename: options.filename, language: 'Dockerfile', data: base64(file.text) };
  let warnings: LintResult['warnings'] = [];
  let buildError: { message: string; location: unknown } | undefined;
  try {
    const found = await findingsOf(engine, file, options);
    warnings = found.warnings;
    const rules = [...new Set(warnings.map(({ rule }) => rule))].sort();
    if (found.fails) buildError = { message: `lint violation found for rules: ${rules.join(', ')}`, location: {} };
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    const line = Number(/line (\d+)/.exec(error.message)?.[1] ?? 1);
    buildError = { message: error.message, location: location(line, line) };
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
            location: location(range.start, range.end),
          })),
    sources: [source],
    ...(buildError && { buildError }),
  };
  const text = warnings.map(({ rule, message, range }) => `WARNING: ${rule} (line ${range.start})\n${message}\n`);
  return {
    'result.json': JSON.stringify(json, undefined, 2),
    'result.txt': text.join('\n'),
    'result.statuscode': warnings.length > 0 || buildError ? '1' : '0',
    version: '1.0.0',
  };
}

function targets({ file }: QuestionParts): Record<string, string> {
  const { stages } = readStages(parseDockerfile(file.text));
  const comments = commentsAbove(file.text);
  const listed = stages.map((stage, index) => ({
    ...(stage.name !== undefined && { name: stage.name }),
    ...(index === stages.length - 1 && { default: true }),
    ...described(comments, stage.range.start, stage.name),
    base: stage.base,
    ...(stage.platform !== undefined && { platform: stage.platform }),
    location: location(stage.range.start, stage.range.end),
  }));
  const width = Math.max(8, ...listed.map(({ name, default: last }) => (name ?? '').length + (last ? 11 : 1)));
  const lines = listed.map(
    ({ name = '', default: last, description = '' }) =>
      `${`${name}${last ? ' (default)' : ''}`.padEnd(width)}${description}`,
  );
  return {
    'result.json': JSON.stringify({ targets: listed, sources: [base64(file.text)] }, undefined, 2),
    'result.txt': ['TARGET'.padEnd(width) + 'DESCRIPTION', ...lines].map((line) => `${line.trimEnd()}\n`).join(''),
    version: '1.0.0',
  };
}

function outline({ file, options, platformArgs }: QuestionParts): Record<string, string> {
  const dockerfile = readStages(parseDockerfile(file.text));
  const buildArgs = new Map(
    Object.entries(options.request.buildArgs ?? {}).filter((pair): pair is [string, string] => pair[1] !== null),
  );
  const plan = planBuild(dockerfile, { target: options.request.target, buildArgs, platformArgs });
  const comments = commentsAbove(file.text);
  const target = plan.stages.at(-1)!.stage;
  const args = new Map<string, object>();
  const secrets = new Map<string, object>();
  const ssh = new Map<string, object>();
  const caches = new Map<string, object>();
  const seeArg = (name: string, value: string | undefined, line: number): void => {
    if (args.has(name)) return;
    const given = buildArgs.get(name) ?? value;
    args.set(name, {
      name,
      ...described(comments, line, name),
      ...(given !== undefined && given !== '' && { value: given }),
      location: location(line, line),
    });
  };
  for (const { args: declared, range } of dockerfile.globalArgs)
    for (const { name, value } of declared)
      if (
        isUsedIn(
          plan.stages.map(({ stage }) => stage),
          name,
        )
      )
        seeArg(name, value, range.start);
  for (const { stage } of plan.stages)
    for (const instruction of stage.instructions) {
      const { start, end } = instruction.range;
      if (instruction.kind === 'ARG') for (const { name, value } of instruction.args) seeArg(name, value, start);
      if (instruction.kind !== 'RUN') continue;
      for (const mount of instruction.mounts) {
        const fields = new Map(
          mount.split(',').map((field): [string, string | undefined] => {
            const [key = '', value] = field.split('=', 2);
            return [key, value];
          }),
        );
        const target = fields.get('target') ?? fields.get('dst') ?? fields.get('destination');
        const required = ['', 'true', '1', undefined].includes(fields.get('required')) && fields.has('required');
        const place = { ...(required && { required: true }), location: location(start, end) };
        if (fields.get('type') === 'secret') {
          const name = fields.get('id') ?? target?.split('/').at(-1) ?? '';
          secrets.set(name, { name, ...place });
        }
        if (fields.get('type') === 'ssh') {
          const name = fields.get('id') ?? 'default';
          ssh.set(name, { name, ...place });
        }
        if (fields.get('type') === 'cache') {
          const id = fields.get('id') ?? target ?? '';
          caches.set(id, { ID: id, location: location(start, end) });
        }
      }
    }
  const json = {
    ...(target.name !== undefined && { name: target.name }),
    ...described(comments, target.range.start, target.name),
    ...(args.size > 0 && { args: [...args.values()] }),
    ...(secrets.size > 0 && { secrets: [...secrets.values()] }),
    ...(ssh.size > 0 && { ssh: [...ssh.values()] }),
    ...(caches.size > 0 && { cache: [...caches.values()] }),
    sources: [base64(file.text)],
  };
  const list = (title: string, names: Iterable<string>): string => {
    const lines = [...names].map((name) => `${name}\n`);
    return lines.length > 0 ? `${title}\n${lines.join('')}\n` : '';
  };
  return {
    'result.json': JSON.stringify(json, undefined, 2),
    'result.txt':
      list('BUILD ARG', args.keys()) +
      list('SECRET', secrets.keys()) +
      list('SSH', ssh.keys()) +
      list('CACHE MOUNT', caches.keys()),
    version: '1.0.0',
  };
}

/** An ARG above all stages counts when one of them takes it up, or when a FROM is made of it. */
function isUsedIn(stages: readonly Stage[], name: string): boolean {
  return stages.some(
    (stage) =>
      stage.base.includes(`$${name}`) ||
      stage.base.includes(`\${${name}`) ||
      stage.instructions.some((one) => one.kind === 'ARG' && one.args.some((arg) => arg.name === name)),
  );
}

/** `# name what it is` in front of a line describes it. */
function described(
  comments: ReadonlyMap<number, string>,
  line: number,
  name: string | undefined,
): { description?: string } {
  const comment = comments.get(line);
  if (name === undefined || comment === undefined || !comment.startsWith(`${name} `)) return {};
  return { description: comment.slice(name.length + 1).trim() };
}

function commentsAbove(text: string): Map<number, string> {
  const comments = new Map<number, string>();
  for (const [index, line] of text.split('\n').entries()) {
    const comment = /^\s*#\s*(.*)$/.exec(line)?.[1];
    if (comment !== undefined) comments.set(index + 2, comment);
  }
  return comments;
}

function location(start: number, end: number): unknown {
  return { ranges: [{ start: { line: start }, end: { line: end } }] };
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
