import fs from 'node:fs';
import { join } from 'node:path';
import { asDict, type Dict, textOf } from '../../../compose/model/value.ts';
import { convertToKubernetes } from '../../../kube/convert/convert.ts';
import { manifestYaml } from '../../../kube/manifests.ts';
import { CommandError } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { config } from './config.ts';
import { composeCommand } from './context.ts';

/** `convert` is Docker's other name for `config`; with `--to` it writes for another system. */
export const convert = composeCommand({
  ...config,
  usage: '[OPTIONS] [SERVICE...]',
  description: 'Write the project for another system; without --to the same as config.',
  examples: `# Manifests in one file, and on stderr what of the project they do not say
gantry compose convert --to kubernetes -o shop.yaml

# One file for each object
gantry compose convert --to kubernetes -o manifests/`,
  flags: {
    ...config.flags,
    to: string('Write for this system ("kubernetes")', { complete: ['kubernetes'] }),
    'fail-on-findings': bool('End with code 2 when something has no counterpart'),
  },
  async run(compose, invocation) {
    const { cli } = compose;
    const flags = invocation.flags as {
      to: string;
      output: string;
      format: string;
      quiet: boolean;
      'fail-on-findings': boolean;
    };
    if (flags.to === '') return config.run(compose, invocation);
    if (flags.to !== 'kubernetes') throw new CommandError(`unknown system ${JSON.stringify(flags.to)}: use kubernetes`);
    const { manifests, findings } = convertToKubernetes(await compose.project(invocation.args));
    const text = (documents: readonly Dict[]): string =>
      flags.format === 'json'
        ? `${JSON.stringify({ apiVersion: 'v1', kind: 'List', items: documents }, undefined, 2)}\n`
        : manifestYaml(documents);
    if (!flags.quiet) {
      if (flags.output === '') cli.io.stdout.write(text(manifests));
      else if (flags.output.endsWith('/') || fs.statSync(flags.output, { throwIfNoEntry: false })?.isDirectory()) {
        fs.mkdirSync(flags.output, { recursive: true });
        for (const one of manifests) write(join(flags.output, `${fileName(one)}.${flags.format}`), text([one]), one);
      } else write(flags.output, text(manifests), ...manifests);
    }
    for (const { field, words } of findings) cli.warn(`${field}: ${words}`);
    return flags['fail-on-findings'] && findings.length > 0 ? 2 : 0;
  },
});

/** Who holds a Secret's manifest holds the secret. */
function write(path: string, text: string, ...manifests: readonly Dict[]): void {
  const secret = manifests.some((one) => one['kind'] === 'Secret');
  fs.writeFileSync(path, text, { mode: secret ? 0o600 : 0o666 });
  if (secret) fs.chmodSync(path, 0o600);
}

function fileName(one: Dict): string {
  return `${textOf(asDict(one['metadata'])['name'])}-${textOf(one['kind']).toLowerCase()}`;
}
