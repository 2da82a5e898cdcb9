import { command, CommandError } from '../../command.ts';
import { compareText } from '../../output/order.ts';

export const port = command({
  usage: 'CONTAINER [PRIVATE_PORT[/PROTO]]',
  flags: {},
  args: { min: 1, max: 2 },
  complete: 'container',
  async run(cli, { args }) {
    const client = await cli.client();
    const { NetworkSettings } = await client.containers.inspect(args[0]!);
    const ports = NetworkSettings.Ports ?? {};
    const wanted = args[1];
    const text = (ip: string, hostPort: string): string => `${ip.includes(':') ? `[${ip}]` : ip}:${hostPort}`;
    if (wanted !== undefined) {
      const key = wanted.includes('/') ? wanted : `${wanted}/tcp`;
      if (!/^\d+\/(tcp|udp|sctp)$/.test(key)) throw new CommandError(`Error: invalid port: ${wanted}`);
      const bindings = ports[key] ?? [];
      if (bindings.length === 0) throw new CommandError(`Error: No public port '${key}' published for ${args[0]}`);
      for (const { HostIp, HostPort } of bindings) cli.print(text(HostIp, HostPort));
      return 0;
    }
    const lines = Object.entries(ports).flatMap(([key, bindings]) =>
      (bindings ?? []).map(({ HostIp, HostPort }) => ({ key, line: `${key} -> ${text(HostIp, HostPort)}` })),
    );
    lines.sort((a, b) => Number.parseInt(a.key, 10) - Number.parseInt(b.key, 10) || compareText(a.line, b.line));
    for (const { line } of lines) cli.print(line);
    return 0;
  },
});
