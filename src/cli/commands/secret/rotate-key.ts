import { command } from '../../command.ts';

export const rotateKey = command({
  usage: '',
  description:
    'Seal every secret with a new key, and forget the old one. Values and running containers stay as they are.',
  flags: {},
  args: { min: 0, max: 0 },
  async run(cli) {
    const { Secrets } = await (await cli.client()).secrets.rotateKey();
    cli.print(`${Secrets} ${Secrets === 1 ? 'secret' : 'secrets'} sealed with a new key`);
    return 0;
  },
});
