import type { Cli } from '../cli.ts';
import { CommandError } from '../command.ts';
import { string } from '../flag.ts';
import type { Output } from '../io.ts';

const FORMS = ['auto', 'tty', 'plain', 'json', 'quiet'] as const;

/** How the progress of something is shown: rows redrawn in place, lines, the engine's messages as JSON lines, or nothing. */
export type ProgressForm = 'tty' | 'plain' | 'json' | 'quiet';

export const progressFlag = string('Set type of progress output ("auto", "tty", "plain", "json", "quiet")', {
  initial: 'auto',
  complete: [...FORMS],
});

/** What `--progress` and `--quiet` ask for on this output. Throws for a form that there is not. */
export function progressForm(
  { progress, quiet = false }: { readonly progress: string; readonly quiet?: boolean },
  output: Output,
): ProgressForm {
  const form = FORMS.find((known) => known === progress);
  if (form === undefined)
    throw new CommandError(`invalid progress type ${JSON.stringify(progress)}: use ${FORMS.join(', ')}`);
  if (quiet) return 'quiet';
  if (form === 'auto') return output.isTTY ? 'tty' : 'plain';
  return form;
}

/** An output that draws as the form wants; lines of JSON are written as they are. */
export function progressOutput(form: ProgressForm, output: Output): Output {
  const { columns, rows } = output;
  if (form === 'quiet') return { isTTY: false, columns, rows, write: () => {} };
  return { isTTY: form === 'tty', columns, rows, write: (data) => output.write(data) };
}

/** The words around a progress, for people: nothing of them among lines of JSON. */
export function say(cli: Cli, form: ProgressForm, line: string): void {
  if (form !== 'json') cli.print(line);
}
