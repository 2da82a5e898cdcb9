import type { FsckReportDocument } from '../../../api/gantry.ts';
import { command, CommandError } from '../../command.ts';
import { bool } from '../../flag.ts';
import { showProgress } from '../../output/progress.ts';
import { layOut } from '../../output/table.ts';
import { humanSize } from '../../output/units.ts';

export const fsck = command({
  usage: '[OPTIONS]',
  flags: {
    json: bool('Print the report as JSON'),
    repair: bool('Remove what is damaged beyond use, so that it can be fetched or built again'),
  },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const client = await cli.client();
    let report: FsckReportDocument | undefined;
    await showProgress(cli.io.stderr, client.images.fsck({ repair: flags.repair }), {
      onAux: (aux) => {
        report = aux as FsckReportDocument;
      },
    });
    if (!report) throw new CommandError('the engine ended the check without a report');
    const { Problems: problems } = report;
    if (flags.json) {
      cli.print(JSON.stringify(report));
    } else {
      if (problems.length > 0) {
        const rows = problems.map((item) =>
          [item.Kind, item.What, item.Repaired ? 'repaired' : 'damaged', item.Detail].map((text) => cli.clean(text)),
        );
        cli.io.stdout.write(layOut([['KIND', 'WHAT', 'STATE', 'DETAIL'], ...rows]));
      }
      const found =
        problems.length === 0 ? 'all of them sound' : `${problems.length} problem${problems.length === 1 ? '' : 's'}`;
      cli.print(`${report.Blobs} blobs (${humanSize(report.Bytes)}) read, ${found}.`);
    }
    return problems.some((item) => !item.Repaired) ? 1 : 0;
  },
});
