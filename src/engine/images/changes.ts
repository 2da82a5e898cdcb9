import { constants } from 'node:os';
import { EngineError } from '../../base/errors.ts';
import { readInstruction } from '../../build/dockerfile/instructions.ts';
import { parseDockerfile } from '../../build/dockerfile/parse.ts';
import { changeConfig, StageConfig } from '../../build/stage-config.ts';
import type { ImageRunConfig } from '../../oci/image.ts';

/** Instructions that change the configuration alone: what `commit --change` and `import --change` take. */
const ALLOWED = new Set([
  'CMD',
  'ENTRYPOINT',
  'ENV',
  'EXPOSE',
  'HEALTHCHECK',
  'LABEL',
  'ONBUILD',
  'STOPSIGNAL',
  'USER',
  'VOLUME',
  'WORKDIR',
]);

/** The configuration after `changes`, Dockerfile instructions in their order. Throws `invalid-argument` in Docker's words. */
export function applyChanges(config: ImageRunConfig, changes: readonly string[]): ImageRunConfig {
  const { nodes, escape } = inWordsOfChanges(() => parseDockerfile(changes.join('\n')));
  let result = new StageConfig(config);
  let commandGiven = false;
  for (const node of nodes) {
    if (!ALLOWED.has(node.name)) {
      throw new EngineError('invalid-argument', `${node.name} is not a valid change command`);
    }
    const instruction = inWordsOfChanges(() => readInstruction(node, escape));
    const before = result;
    const options = { escape, ownCmd: commandGiven };
    const { config: changed } = changeConfig(before, instruction, (name) => before.variable(name), options)!;
    commandGiven ||= instruction.kind === 'CMD';
    if (instruction.kind === 'STOPSIGNAL') checkSignal(changed.whole.StopSignal!);
    result = changed;
  }
  return result.whole;
}

function checkSignal(text: string): void {
  const name = text.toUpperCase().replace(/^SIG/, '');
  const known = /^\d+$/.test(text)
    ? Number(text) > 0 && Number(text) <= 64
    : Object.hasOwn(constants.signals, `SIG${name}`) ||
      /^RTM(?:IN(?:\+(?:\d|1[0-5]))?|AX(?:-(?:\d|1[0-4]))?)$/.test(name);
  if (!known) throw new EngineError('invalid-argument', `invalid signal: ${text}`);
}

/** The parser speaks of lines of a Dockerfile; there is none here. */
function inWordsOfChanges<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    const message = error.message
      .replace(/^dockerfile (?:parse error on )?line \d+: /, '')
      .replace(/^unknown instruction: (.*)$/s, '$1 is not a valid change command');
    throw new EngineError(error.code, message, { cause: error });
  }
}
