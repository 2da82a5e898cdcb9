import fs from 'node:fs';
import { manifestYaml } from '../../../kube/manifests.ts';
import { generateManifests } from '../../../kube/play/generate.ts';
import { command, CommandError } from '../../command.ts';
import { bool, string } from '../../flag.ts';

export const generate = command({
  usage: '[OPTIONS] POD|CONTAINER [CONTAINER...]',
  description: 'Write the manifests of a pod, or of containers as one pod.',
  examples: `# What was tried by hand, as a manifest
gantry run -d --name web -p 8080:80 nginx:1.27
gantry kube generate -s web > web.yaml`,
  flags: {
    filename: string('Write to a file, instead of STDOUT', { short: 'f', complete: 'file' }),
    service: bool('Write a Service for the published ports, too', { short: 's' }),
    type: string('The kind of object ("pod", "deployment")', {
      short: 't',
      initial: 'pod',
      complete: ['pod', 'deployment'],
    }),
  },
  args: { min: 1 },
  complete: 'container',
  async run(cli, { flags, args }) {
    if (!['pod', 'deployment'].includes(flags.type))
      throw new CommandError(`unknown type ${JSON.stringify(flags.type)}: use pod or deployment`);
    const manifests = await generateManifests(await cli.client(), args, {
      kind: flags.type === 'pod' ? 'Pod' : 'Deployment',
      service: flags.service,
      warn: (message) => cli.warn(cli.clean(`WARNING: ${message}`)),
    });
    const text = manifestYaml(manifests);
    if (flags.filename === '' || flags.filename === '-') cli.io.stdout.write(text);
    else fs.writeFileSync(flags.filename, text, { mode: 0o600 });
    return 0;
  },
});
