import { expandWord, type Lookup } from './expand.ts';
import type { Instruction } from './instructions.ts';

/** A step as it is shown: on one line, with the values of variables, as BuildKit shows it. Values of secrets are not told. */
export function shownStep(instruction: Instruction, lookup: Lookup, escape: string): string {
  const { kind } = instruction;
  const text = instruction.original.trim();
  if (kind !== 'RUN')
    return kind === 'COPY' || kind === 'ADD' || kind === 'WORKDIR' ? expanded(text, lookup, escape) : text;
  const hidden = new Set(instruction.mounts.flatMap(secretVariable));
  const shown = expanded(text, (name) => (hidden.has(name) ? '****' : lookup(name)), escape, true);
  const [heredoc] = instruction.heredocs;
  // A script alone says by its first line what it does.
  if (!heredoc || !LONE_SCRIPT.test(text)) return shown;
  const [first = '', ...more] = heredoc.content.trim().split('\n');
  return `${shown} (${first}${more.length > 0 ? '...' : ''})`;
}

const LONE_SCRIPT = /^RUN(?:\s+--\S+)*\s+<<-?["']?[^\s"']+["']?$/i;

function expanded(text: string, lookup: Lookup, escape: string, shown = false): string {
  if (shown && !text.includes('$')) return text;
  try {
    return expandWord(text, lookup, { escape, shown });
  } catch {
    // A shell's own substitutions are none of a Dockerfile's.
    return text;
  }
}

/** The variable of `type=secret,id=token,env=TOKEN`; of one without a name it is the id. */
function secretVariable(mount: string): string[] {
  const fields = new Map(
    mount.split(',').map((field): [string, string] => {
      const cut = field.indexOf('=');
      return cut < 0 ? [field, ''] : [field.slice(0, cut), field.slice(cut + 1)];
    }),
  );
  const name = fields.get('env');
  return fields.get('type') === 'secret' && name ? [name] : [];
}
