import { posix } from 'node:path';
import type { PathPatterns } from '../../base/path-patterns.ts';
import type { CopyInstruction, Dockerfile, Instruction } from '../dockerfile/instructions.ts';
import type { Report } from './warning.ts';

const ONLY_ONE = new Set(['CMD', 'ENTRYPOINT', 'HEALTHCHECK']);
const SECRET = /(?:^|_)(apikey|auth|credentials?|key|passwd|password|pword|secret|token)(?:_|$)/i;
const NO_SECRET = /(?:^|_)public(?:_|$)/i;

/** What single instructions of a stage do, and how often. */
export function lintInstructions({ stages }: Dockerfile, ignore: PathPatterns, report: Report): void {
  for (const { instructions } of stages) {
    const last = new Map<string, Instruction>();
    let shell = false;
    let absolute = false;
    for (const instruction of instructions) {
      const { kind, range } = instruction;
      const before = ONLY_ONE.has(kind) ? last.get(kind) : undefined;
      if (before) {
        report(
          'MultipleInstructionsDisallowed',
          `Multiple ${kind} instructions should not be used in the same stage because only the last one will be used`,
          before.range,
        );
      }
      last.set(kind, instruction);
      switch (kind) {
        case 'SHELL':
          shell = true;
          break;
        case 'CMD':
        case 'ENTRYPOINT':
          // A SHELL of one's own says that the shell form is meant.
          if (instruction.command.form === 'shell' && !shell) {
            report(
              'JSONArgsRecommended',
              `JSON arguments recommended for ${kind} to prevent unintended behavior related to OS signals`,
              range,
            );
          }
          break;
        case 'WORKDIR':
          if (instruction.text.startsWith('/') || instruction.text.includes('$')) absolute = true;
          else if (!absolute) {
            report(
              'WorkdirRelativePath',
              `Relative workdir ${JSON.stringify(instruction.text)} can have unexpected results if the base image changes`,
              range,
            );
          }
          break;
        case 'ENV-COMMAND':
          lintSecret('ENV', instruction.name, range, report);
          break;
        case 'ENV':
          for (const { key } of instruction.pairs) lintSecret(kind, key, range, report);
          break;
        case 'ARG':
          for (const { name } of instruction.args) lintSecret(kind, name, range, report);
          break;
        case 'EXPOSE':
          lintPorts(instruction.text, range, report);
          break;
        case 'COPY':
        case 'ADD':
          lintSources(instruction, ignore, report);
          break;
        case 'RUN':
          if (instruction.command.form === 'shell') lintCommand(instruction, instruction.command.line, report);
          break;
        default:
      }
    }
  }
}

/** Whether a variable of that name holds a secret, most likely. */
export function isSecretName(name: string): boolean {
  return SECRET.test(name) && !NO_SECRET.test(name);
}

function lintSecret(kind: string, name: string, range: Instruction['range'], report: Report): void {
  if (!isSecretName(name)) return;
  report(
    'SecretsUsedInArgOrEnv',
    `Do not use ARG or ENV instructions for sensitive data (${kind} ${JSON.stringify(name)})`,
    range,
  );
}

function lintPorts(text: string, range: Instruction['range'], report: Report): void {
  for (const port of text.split(/\s+/)) {
    const protocol = port.split('/')[1] ?? '';
    if (/[A-Z]/.test(protocol) && !port.includes('$'))
      report('ExposeProtoCasing', `Defined protocol '${port}' in EXPOSE instruction should be lowercase`, range);
    if (port.includes(':')) {
      report(
        'ExposeInvalidFormat',
        `EXPOSE instruction should not define an IP address or host-port mapping, found '${port}'`,
        range,
      );
    }
  }
}

function lintSources(instruction: CopyInstruction, ignore: PathPatterns, report: Report): void {
  if (instruction.from !== undefined) return;
  for (const source of instruction.sources) {
    if (/[$*?[]|:\/\//.test(source)) continue;
    const path = posix.join('/', source).slice(1).replace(/\/$/, '');
    if (path === '' || !ignore.matches(path)) continue;
    const verb = instruction.kind === 'COPY' ? 'Copy' : 'Add';
    report(
      'CopyIgnoredFile',
      `Attempting to ${verb} file ${JSON.stringify(source)} that is excluded by .dockerignore`,
      instruction.range,
    );
  }
}

function lintCommand(
  { mounts, heredocs, range }: Extract<Instruction, { kind: 'RUN' }>,
  line: string,
  report: Report,
): void {
  const text = [line, ...heredocs.map(({ content }) => content)].join('\n');
  const installs = /\bapt(?:-get)?\s+(?:-\S+\s+)*install\b/.test(text);
  const cleans = /rm\s+-\S*\s+[^;&|]*\/var\/lib\/apt\/lists/.test(text);
  if (installs && !cleans && !mounts.some((mount) => mount.includes('/var/lib/apt'))) {
    report(
      'AptListsLeftBehind',
      'The package lists stay in the layer: end the command with "&& rm -rf /var/lib/apt/lists/*"',
      range,
    );
  }
}
