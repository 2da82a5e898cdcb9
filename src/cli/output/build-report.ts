import type { BuildReportDocument, BuildReportStage } from '../../api/gantry.ts';
import { humanSize } from './units.ts';

const BAR = 30;
const TEXT = 60;

type Step = BuildReportStage['Steps'][number];

/** The stages of a build with their steps, on a terminal: what each step was, and where its files come from. */
export function graphTree({ Stages, Platform }: BuildReportDocument): string {
  const lines = [`${Platform}`];
  for (const stage of Stages) {
    lines.push(
      `${nameOf(stage)}  ${shorten(oneLine(stage.Text))}${stage.Base.Stage === undefined ? '' : arrow(Stages, String(stage.Base.Stage))}`,
    );
    for (const [index, step] of stage.Steps.entries()) {
      const branch = index === stage.Steps.length - 1 ? '└─' : '├─';
      lines.push(
        `${branch} ${shorten(oneLine(step.Text)).padEnd(TEXT)}  ${facts(step).padEnd(24)}${step.Key.slice(7, 19)}${step.From.map((from) => arrow(Stages, from)).join('')}`.trimEnd(),
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

/** The same as a flowchart for https://mermaid.js.org: in one box a stage, with an arrow for each thing that is taken from another. */
export function graphMermaid({ Stages }: BuildReportDocument): string {
  const lines = ['flowchart TD'];
  const links: string[] = [];
  for (const stage of Stages) {
    const at = (position: number): string => `s${stage.Index}_${position}`;
    lines.push(
      `  subgraph s${stage.Index}["${label(nameOf(stage))}"]`,
      `    ${at(0)}["${label(oneLine(stage.Text))}"]:::base`,
    );
    for (const [index, step] of stage.Steps.entries()) {
      const kind = step.Origin === '' ? 'none' : step.Origin === 'run' ? 'ran' : 'cached';
      const note = facts(step).trim();
      lines.push(
        `    ${at(index + 1)}["${label(shorten(oneLine(step.Text)))}${note === '' ? '' : `<br/>${label(note)}`}"]:::${kind}`,
      );
      links.push(`  ${at(index)} --> ${at(index + 1)}`);
      for (const from of step.From) {
        const source = stageOf(Stages, from);
        if (source) links.push(`  s${source.Index}_${source.Steps.length} -.-> ${at(index + 1)}`);
        else links.push(`  i${links.length}(["${label(from)}"]) -.-> ${at(index + 1)}`);
      }
    }
    lines.push('  end');
    const base = stage.Base.Stage === undefined ? undefined : Stages.find(({ Index }) => Index === stage.Base.Stage);
    if (base) links.push(`  s${base.Index}_${base.Steps.length} --> ${at(0)}`);
  }
  return `${[
    ...lines,
    ...links,
    '  classDef cached fill:#d5f5d5,stroke:#4a4',
    '  classDef ran fill:#fde8c8,stroke:#c80',
    '  classDef base fill:#dde,stroke:#66a',
    '  classDef none fill:#eee,stroke:#999',
  ].join('\n')}\n`;
}

/** What each instruction of the result adds to it, as bars one after the other. */
export function sizeWaterfall({ Stages, Platform }: BuildReportDocument): string {
  const rows: { readonly text: string; readonly size: number }[] = [];
  const add = (stage: BuildReportStage): void => {
    const below = stage.Base.Stage === undefined ? undefined : Stages.find(({ Index }) => Index === stage.Base.Stage);
    if (below) add(below);
    else rows.push({ text: stage.Text, size: stage.BaseSize });
    for (const step of stage.Steps) if (step.HasLayer) rows.push({ text: step.Text, size: step.Size });
  };
  add(Stages.at(-1)!);
  const total = rows.reduce((sum, { size }) => sum + size, 0);
  const scale = (bytes: number): number => (total === 0 ? 0 : Math.round((bytes / total) * BAR));
  let before = 0;
  const lines = rows.map(({ text, size }) => {
    const start = scale(before);
    before += size;
    const bar = '█'.repeat(Math.max(size > 0 ? 1 : 0, scale(before) - start));
    const drawn = `${' '.repeat(Math.min(start, BAR - 1))}${bar}`.slice(0, BAR).padEnd(BAR);
    return `${humanSize(size).padStart(9)} ${humanSize(before).padStart(9)}  │${drawn}│  ${shorten(oneLine(text))}`;
  });
  return `${Platform}\n${'SIZE'.padStart(9)} ${'TOTAL'.padStart(9)}\n${lines.join('\n')}\n`;
}

function nameOf({ Name, Index }: BuildReportStage): string {
  return Name === '' ? `stage ${Index}` : Name;
}

function stageOf(stages: readonly BuildReportStage[], name: string): BuildReportStage | undefined {
  return (
    stages.find(({ Name }) => Name !== '' && Name === name.toLowerCase()) ??
    stages.find(({ Index }) => String(Index) === name)
  );
}

function arrow(stages: readonly BuildReportStage[], from: string): string {
  const source = stageOf(stages, from);
  return `  ← ${source ? nameOf(source) : from}`;
}

function facts({ Origin, Size, HasLayer, Milliseconds }: Step): string {
  if (Origin === '') return '';
  const time = Origin === 'run' && Milliseconds >= 100 ? ` ${(Milliseconds / 1000).toFixed(1)}s` : '';
  return `${Origin}${time}${HasLayer ? ` ${humanSize(Size)}` : ''}`;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}

function shorten(text: string): string {
  const chars = Array.from(text);
  return chars.length > TEXT ? `${chars.slice(0, TEXT - 1).join('')}…` : text;
}

/** Quotes and angle brackets mean something in a flowchart. */
function label(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '#quot;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
