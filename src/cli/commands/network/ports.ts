import { command } from '../../command.ts';
import { string } from '../../flag.ts';
import { FORMAT_HELP } from '../../output/format-help.ts';
import { printRows } from '../../output/rows.ts';

/** Every published port of this engine: whose it is, and from where it can be reached. */
export const ports = command({
  usage: '[OPTIONS]',
  flags: { format: string(FORMAT_HELP) },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const client = await cli.client();
    const containers = await client.containers.list({});
    const rows = containers.flatMap((container) =>
      container.Ports.flatMap(({ IP, PublicPort, PrivatePort, Type }) =>
        IP === undefined || PublicPort === undefined
          ? []
          : [
              {
                Address: `${IP.includes(':') ? `[${IP}]` : IP}:${PublicPort}`,
                Protocol: Type,
                Reach: reach(IP),
                Container: container.Names[0]?.replace(/^\//, '') ?? container.Id.slice(0, 12),
                Target: String(PrivatePort),
                number: PublicPort,
              },
            ],
      ),
    );
    rows.sort((a, b) => a.number - b.number || (a.Address < b.Address ? -1 : 1));
    printRows(
      cli,
      {
        columns: ['Address', 'Protocol', 'Reach', 'Container', 'Target'],
        headers: {},
        typeName: '*network.portContext',
      },
      rows.map(({ number: _number, ...row }) => row),
      { template: flags.format },
    );
    return 0;
  },
});

/** Who can send packets to the address: this host only, the network it is on, or whoever the host's own firewall lets in. */
export function reach(address: string): 'loopback' | 'network' | 'anywhere' {
  if (address === '0.0.0.0' || address === '::') return 'anywhere';
  if (address.startsWith('127.') || address === '::1') return 'loopback';
  return 'network';
}
