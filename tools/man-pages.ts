import { commandHelp, topHelp } from '../src/cli/help.ts';
import { COMMANDS } from '../src/cli/registry.ts';
import { VERSION } from '../src/base/version.ts';

const WIDTH = 78;

/** Manual pages of section 1 by their file names: `gantry.1`, `gantry-run.1`. Each is the command's help, in roff. */
export async function manPages(): Promise<Map<string, string>> {
  const pages = new Map([['gantry.1', page('gantry', 'a container engine', topHelp(WIDTH))]]);
  for (const entry of COMMANDS) {
    if (entry.hidden) continue;
    const text = commandHelp(entry, await entry.load(), entry.paths[0]!, WIDTH);
    for (const path of entry.paths) {
      const name = `gantry-${path.replaceAll(' ', '-')}`;
      const first = `gantry-${entry.paths[0]!.replaceAll(' ', '-')}`;
      pages.set(`${name}.1`, name === first ? page(name, entry.summary, text) : `.so man1/${first}.1\n`);
    }
  }
  return pages;
}

function page(name: string, summary: string, text: string): string {
  const body = text
    .replaceAll('\\', '\\e')
    .split('\n')
    .map((line) => (/^[.']/.test(line) ? `\\&${line}` : line))
    .join('\n')
    .replaceAll('-', '\\-');
  return `.TH ${name.toUpperCase()} 1 "" "Gantry ${VERSION}" "Gantry"
.SH NAME
${name} \\- ${summary.replaceAll('\\', '\\e')}
.SH DESCRIPTION
.nf
${body}
.fi
`;
}
