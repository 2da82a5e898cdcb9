import type { ParsedDockerfile } from '../dockerfile/parse.ts';
import type { Report } from './warning.ts';

/** How instructions are written: casing, old forms. */
export function lintStyle({ nodes }: ParsedDockerfile, report: Report): void {
  // The first instruction that is in one case throughout decides when there are as many of both.
  const upper = nodes.filter(({ written }) => written === written.toUpperCase()).length;
  const lower = nodes.filter(({ written }) => written === written.toLowerCase()).length;
  const majority = lower > upper ? 'lowercase' : 'uppercase';
  for (const { name, written, flags, text, range } of nodes) {
    const wanted = majority === 'lowercase' ? written.toLowerCase() : written.toUpperCase();
    if (written !== wanted) {
      report(
        'ConsistentInstructionCasing',
        `Command '${written}' should match the case of the command majority (${majority})`,
        range,
      );
    }
    const as = name === 'FROM' ? /\s(as)\s+\S+$/i.exec(text)?.[1] : undefined;
    if (as !== undefined && (as === as.toLowerCase()) !== (written === written.toLowerCase()))
      report('FromAsCasing', `'${as}' and '${written}' keywords' casing do not match`, range);
    if (name === 'MAINTAINER')
      report('MaintainerDeprecated', 'Maintainer instruction is deprecated in favor of using label', range);
    if ((name === 'ENV' || name === 'LABEL') && flags.length === 0 && text !== '' && !/^\S*=/.test(text)) {
      report(
        'LegacyKeyValueFormat',
        `"${name} key=value" should be used instead of legacy "${name} key value" format`,
        range,
      );
    }
  }
}
