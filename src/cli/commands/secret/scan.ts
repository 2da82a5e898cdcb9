import { command } from '../../command.ts';
import { bool } from '../../flag.ts';
import { humanSize } from '../../output/units.ts';

export const scan = command({
  usage: '[OPTIONS] CONTAINER|IMAGE',
  description:
    'Search the log of a container for the values of its secrets, or an image for those of all secrets, in the clear and in base64. The exit code is 1 when one is found.',
  examples: `# Has a container printed its password?
gantry secret scan web

# Has a build left one behind?
gantry secret scan --image myapp:1.0`,
  flags: { image: bool('The name is an image’s, though a container has it as well') },
  args: { min: 1, max: 1 },
  complete: 'container',
  async run(cli, { flags, args }) {
    const client = await cli.client();
    const name = args[0]!;
    const isContainer =
      !flags.image &&
      (await client.containers.inspect(name).then(
        () => true,
        () => false,
      ));
    const report = await client.secrets.scan(isContainer ? { Container: name } : { Image: name });
    for (const { Secret, Where } of report.Leaks) cli.print(cli.clean(`${Secret}: in the ${Where}`));
    for (const short of report.TooShort)
      cli.warn(cli.clean(`${short} was not searched for: under 8 bytes it would be found by chance`));
    cli.warn(`${humanSize(report.Bytes)} searched, ${report.Leaks.length === 0 ? 'no secret' : 'secrets'} found`);
    return report.Leaks.length === 0 ? 0 : 1;
  },
});
