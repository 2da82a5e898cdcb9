import type { ContainerSummary } from '../../../api/container.ts';
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
                Address:
                  PublicPort === 0 ? `${ownAddress(container, IP)}:${PrivatePort}` : `${bracketed(IP)}:${PublicPort}`,
                Protocol: Type,
                Reach: PublicPort === 0 ? 'routed' : reach(IP),
                Container: container.Names[0]?.replace(/^\//, '') ?? container.Id.slice(0, 12),
                Target: String(PrivatePort),
                number: PublicPort || PrivatePort,
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

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

/** On a routed network no port of the host leads to a container: it is reached by its own address. */
function ownAddress(container: ContainerSummary, family: string): string {
  const addresses = Object.values(container.NetworkSettings.Networks).map((endpoint) =>
    family.includes(':') ? endpoint.GlobalIPv6Address : endpoint.IPAddress,
  );
  return bracketed(addresses.find(Boolean) ?? '');
}

/** Who can send packets to the address: this host only, the network it is on, or whoever the host's own firewall lets in. */
export function reach(address: string): 'loopback' | 'network' | 'anywhere' {
  if (address === '0.0.0.0' || address === '::') return 'anywhere';
  if (address.startsWith('127.') || address === '::1') return 'loopback';
  return 'network';
}
