import { asDict, asList, asText, textOf } from '../model/value.ts';
import { sortedNetworks } from './container-request.ts';
import type { Project, Service } from './project.ts';

export interface GraphOptions {
  readonly networks: boolean;
  readonly ports: boolean;
  readonly image: boolean;
  /** What lines are indented by. */
  readonly indent: string;
}

/** A project's services and what they depend on, in graphviz' DOT language, as Docker's Compose 2.40 draws them. */
export function graphText(project: Project, options: GraphOptions): string {
  const services = [...project.services.values()];
  const nodes = services.map(
    (service) => `${quoted(service.name)} [style="filled" label=<${label(service, options)}>];`,
  );
  const edges = services.flatMap((service) =>
    [...service.dependencies.keys()].map((name) => `${quoted(service.name)} -> ${quoted(name)};`),
  );
  const lines = ['layout=dot;', ...nodes, '', ...edges].map((line) => (line === '' ? '' : options.indent + line));
  return [`digraph ${quoted(project.name)} {`, ...lines, '}', ''].join('\n');
}

function label(service: Service, options: GraphOptions): string {
  const ports = asList(service.model['ports']).map(asDict);
  return [
    `<font point-size="15">${escaped(service.name)}</font>`,
    ...(options.networks ? section('Networks', sortedNetworks(service)) : []),
    ...(options.ports
      ? section(
          'Ports',
          ports.map((port) => {
            const address = asText(port['host_ip']);
            const published = `${address === undefined ? '' : `${address}:`}${textOf(port['published'])}`;
            return `${published}:${textOf(port['target'])} (${textOf(port['protocol'])}, ${textOf(port['mode'])})`;
          }),
        )
      : []),
    ...(options.image ? section('Image', [service.image]) : []),
  ].join('');
}

function section(title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  return [`<font point-size="10"><br/><br/><b>${title}:</b><br/>${lines.map(escaped).join('<br/>')}</font>`];
}

function quoted(name: string): string {
  return JSON.stringify(name);
}

/** In DOT's labels of HTML. */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
