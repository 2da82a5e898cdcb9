import type { Project, Service } from '../../compose/project/project.ts';
import { type Dict, dict, textOf } from '../../compose/model/value.ts';
import { kubeName } from '../names.ts';
import type { Report } from './report.ts';

/** What every part of a conversion needs. */
export interface ConvertContext {
  readonly project: Project;
  readonly report: Report;
  /** Objects so far, by kind and name. */
  readonly objects: Map<string, Dict>;
}

/** Labels by which Services and workloads find a service's pods. */
export function selectorOf(project: Project, service: Service): Dict {
  return dict([
    ['app.kubernetes.io/name', kubeName(service.name)],
    ['app.kubernetes.io/part-of', kubeName(project.name)],
  ]);
}

export function object(apiVersion: string, kind: string, name: string, project: Project, rest: Dict): Dict {
  return dict([
    ['apiVersion', apiVersion],
    ['kind', kind],
    [
      'metadata',
      dict([
        ['name', name],
        [
          'labels',
          dict([
            ['app.kubernetes.io/managed-by', 'gantry'],
            ['app.kubernetes.io/part-of', kubeName(project.name)],
          ]),
        ],
      ]),
    ],
    ...Object.entries(rest),
  ]);
}

/** Keeps one object of a kind and name: resources are shared by services. */
export function keep(context: ConvertContext, made: Dict): void {
  const { name } = made['metadata'] as { name: string } & Dict;
  context.objects.set(`${textOf(made['kind'])}/${name}`, made);
}
