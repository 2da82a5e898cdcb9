import { command, CommandError } from '../../command.ts';
import { bool, list, string } from '../../flag.ts';
import { projectLabel } from '../../options/scope.ts';

export const create = command({
  usage: '[OPTIONS] NAME',
  description: `Make a socket of the engine with less behind it. With --read-only it only looks: lists, documents, logs, figures and events. Otherwise what is made through it is confined to its own containers: nothing privileged, no path, device or namespace of the host, no secrets, no builds; what was made elsewhere is not entered. Prints the directory with its socket, api.sock.`,
  examples: `# For a dashboard: everything to see, nothing to change
gantry scope create watch --read-only

# For a CI job: its own containers of two images, and nothing else
gantry scope create ci --image 'node:*' --image postgres:16
gantry run --api-socket=ci my-runner

# For another machine, over TLS: a token instead of a socket
gantry scope create deploy --project shop --token
DOCKER_CUSTOM_HEADERS="Authorization=Bearer $TOKEN" docker -H tcp://engine.lan:2376 --tls ps`,
  flags: {
    'read-only': bool('Only look'),
    project: string('Only what belongs to this Compose project; what is made belongs to it'),
    label: string('The same for a label of your own', { kind: 'key=value' }),
    image: list('Images that may be used, as a pattern (repeatable); without any, all', { kind: 'pattern' }),
    token: bool('Also print a token, once, for clients that no socket reaches'),
  },
  args: { min: 1, max: 1 },
  async run(cli, { flags, args }) {
    const [name] = args;
    if (name === 'ro') throw new CommandError('"ro" is a word of --api-socket: choose another name');
    if (flags.project !== '' && flags.label !== '')
      throw new CommandError('--project is a label: give one of --project and --label');
    const label = flags.project === '' ? flags.label : projectLabel(flags.project);
    const client = await cli.client();
    const made = await client.scopes.create({
      Name: name!,
      ReadOnly: flags['read-only'],
      Images: [...flags.image],
      Token: flags.token,
      ...(label !== '' && { Label: label }),
    });
    cli.print(cli.clean(made.Directory));
    if (made.Token !== undefined) cli.print(made.Token);
    return 0;
  },
});
