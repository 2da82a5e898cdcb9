import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeInspected, VERSIONS } from './document-shapes.ts';
import { decode } from '../../template/go-value.ts';
import { Template } from '../../template/template.ts';

const DATA = {
  Name: 'web',
  Id: 'abc',
  Count: 3,
  Big: 12_345_678_901,
  Ratio: 1.5,
  On: true,
  None: null,
  Tags: ['one', 'two'],
  Empty: [],
  Config: { Labels: { 'a.b': 'x', z: 'y' }, Env: null },
  Label: (key: unknown) => `label:${String(key)}`,
};

/** Pairs of a template and what Go prints for it. */
const OUTPUTS: readonly (readonly [string, string])[] = [
  ['plain', 'plain'],
  ['{{.Name}}:{{ .Count }}', 'web:3'],
  ['{{.ID}}', 'abc'],
  ['{{.Big}} {{.Ratio}} {{.On}}', '12345678901 1.5 true'],
  ['{{.None}}', '<nil>'],
  ['{{.Tags}} {{.Config.Labels}}', '[one two] map[a.b:x z:y]'],
  ['{{json .Config}}', '{"Labels":{"a.b":"x","z":"y"},"Env":null}'],
  ['{{json "<a&b>"}}', '"\\u003ca\\u0026b\\u003e"'],
  ['{{index .Tags 1}} {{index .Config.Labels "a.b"}} {{index .Config.Labels "none"}}', 'two x <no value>'],
  ['{{len .Tags}} {{len .Name}}', '2 3'],
  ['{{if .On}}yes{{else}}no{{end}}{{if .Empty}}full{{else if eq .Count 3}}three{{else}}other{{end}}', 'yesthree'],
  ['{{if and .On (gt .Count 2)}}a{{end}}{{if or .None .Name}}b{{end}}{{if not .Empty}}c{{end}}', 'abc'],
  ['{{if and .None .None.Nothing}}x{{else}}short{{end}}', 'short'],
  ['{{eq .Name "db" "web"}} {{ne .Count 4}} {{lt 1 2}} {{ge "b" "a"}}', 'true true true true'],
  ['{{range .Tags}}<{{.}}>{{end}}', '<one><two>'],
  ['{{range $i, $t := .Tags}}{{if $i}},{{end}}{{$i}}={{$t}}{{end}}', '0=one,1=two'],
  ['{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}', 'a.b=x;z=y;'],
  ['{{range .Empty}}x{{else}}none{{end}}', 'none'],
  ['{{range .Tags}}{{if eq . "two"}}{{break}}{{end}}{{.}}{{end}}', 'one'],
  ['{{range .Tags}}{{if eq . "one"}}{{continue}}{{end}}{{.}}{{$.Name}}{{end}}', 'twoweb'],
  ['{{with .Config}}{{len .Labels}}{{end}}{{with .None}}x{{else}}y{{end}}', '2y'],
  ['{{with $x := .Name}}{{$x}}{{end}}', 'web'],
  ['{{$x := 1}}{{if .On}}{{$x = 2}}{{end}}{{$x}}', '2'],
  ['{{.Name | upper | printf "%s-%s" "x"}}', 'x-WEB'],
  [
    '{{printf "%-6s|%5d|%05d|%.2f|%q|%v|%t|%x" .Name .Count .Count .Ratio .Name .Tags .On 255}}',
    'web   |    3|00003|1.50|"web"|[one two]|true|ff',
  ],
  ['{{printf "%d%%" .Count}} {{printf "%s"}} {{printf "x" 1}}', '3% %!s(MISSING) x%!(EXTRA int=1)'],
  [
    '{{join .Tags ", "}} {{split "a-b" "-"}} {{lower "AB"}} {{title "ab cd"}} {{truncate .Name 2}} [{{pad "x" 1 2}}]',
    'one, two [a b] ab Ab Cd we [ x  ]',
  ],
  ['{{println .Name 1}}{{print "a" 1 2 "b"}}', 'web 1\na1 2b'],
  ['{{slice .Name 1}} {{slice .Tags 0 1}}', 'eb [one]'],
  ['{{.Label "k"}} {{.Label "k" | upper}}', 'label:k LABEL:K'],
  ['{{(index .Tags 0)}} {{(printf "%s" .Name) | len}}', 'one 3'],
  ['a {{- .Name -}} b', 'awebb'],
  ['a{{/* a comment */}}b{{- /* another */ -}}  c', 'abc'],
  ['{{"a\\tb"}}{{`raw\\t`}}', 'a\tbraw\\t'],
  ["{{'a'}}", '97'],
  ['{{html "<a&b>"}} {{js "it\'s <b>"}}', "&lt;a&amp;b&gt; it\\'s \\u003Cb\\u003E"],
];

for (const [source, expected] of OUTPUTS) {
  test(source, () => assert.equal(new Template(source).execute(DATA), expected));
}

test('what cannot be read, in Go’s words', () => {
  assert.throws(() => new Template('{{.ID'), { message: 'template: :1: unclosed action' });
  assert.throws(() => new Template('{{nosuch .}}'), { message: 'template: :1: function "nosuch" not defined' });
  assert.throws(() => new Template('{{if .A}}x'), { message: 'template: :1: unexpected EOF' });
  assert.throws(() => new Template('{{end}}'), { message: 'template: :1: unexpected {{end}}' });
  assert.throws(() => new Template('{{"a}}'), /unterminated quoted string/);
  assert.throws(() => new Template('{{}}'), /missing value for command/);
});

test('what cannot be found, in Go’s words', () => {
  assert.throws(() => new Template('{{.Foo}}').execute({}), {
    message: 'template: :1:2: executing "" at <.Foo>: map has no entry for key "Foo"',
  });
  assert.throws(() => new Template('{{.Foo}}', { typeName: '*formatter.x' }).execute({}), {
    message: `template: :1:2: executing "" at <.Foo>: can't evaluate field Foo in type *formatter.x`,
  });
  assert.throws(() => new Template('{{$x}}').execute({}), /undefined variable "\$x"/);
  assert.throws(() => new Template('{{index .A 5}}').execute({ A: [1] }), /out of range/);
});

test('names that objects inherit are no fields', () => {
  assert.throws(() => new Template('{{.constructor}}').execute({}), /no entry/);
  assert.throws(() => new Template('{{.__proto__}}').execute({}), /no entry/);
  assert.equal(new Template('{{index . "toString"}}').execute({}), '<no value>');
});

test('nesting without end is refused', () => {
  assert.throws(() => new Template('{{if .}}'.repeat(5000)), /too deeply nested/);
});

const CONTAINER = {
  Id: 'abc',
  State: { Status: 'running' },
  HostConfig: { NanoCpus: 5, Dns: null, PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '8080' }] } },
  Mounts: [{ Type: 'volume', Name: 'v', Source: '/s', Destination: '/d', Driver: 'local', Mode: 'z', RW: true }],
  Config: { Labels: { a: 'b' }, Cmd: ['sh'], Entrypoint: null, Volumes: {} },
  NetworkSettings: { Ports: {}, Networks: { bridge: { IPAddress: '10.0.0.2' } } },
};

/** What docker 28.5 prints for such a container. */
const INSPECTED: readonly (readonly [string, string])[] = [
  ['{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}', 'none'],
  ['{{.State.Health}} {{.SizeRw}} {{.HostConfig.Init}}', '<nil> <nil> <nil>'],
  ['[{{.Config.StopSignal}}] {{.Config.Healthcheck}} {{.Config.ExposedPorts}}', '[] <nil> map[]'],
  ['{{.ID}} {{.HostConfig.NanoCPUs}} {{.HostConfig.NanoCpus}} {{.HostConfig.DNS}}', 'abc 5 5 []'],
  ['{{.Config.Labels.nope}} [{{index .Config.Labels "nope"}}] {{.Config.Labels.a}}', '<no value> [] b'],
  ['{{.NetworkSettings.Networks.nope.IPAddress}}', '<no value>'],
  ['{{index .NetworkSettings.Networks "nope"}}', '<nil>'],
  ['{{with index .NetworkSettings.Ports "9/tcp"}}x{{else}}closed{{end}}', 'closed'],
  ['{{.HostConfig.PortBindings}} {{.Mounts}}', 'map[80/tcp:[{ 8080}]] [{volume v /s /d local z true }]'],
  ['{{json .Config}}', '{"Labels":{"a":"b"},"Cmd":["sh"],"Entrypoint":null,"Volumes":{}}'],
  ['{{json .Config.Entrypoint}} {{json .Config.Env}} {{.Config.Entrypoint}}', 'null null []'],
  ['{{if .Config.Volumes}}some{{else}}none{{end}} {{index .Config "Cmd"}}', 'none [sh]'],
];

for (const [source, expected] of INSPECTED) {
  test(`inspect: ${source}`, () =>
    assert.equal(new Template(source).execute(decodeInspected(structuredClone(CONTAINER))), expected));
}

test('fields that a struct has not are still missed', () => {
  const run = (source: string) => () => new Template(source).execute(decodeInspected(CONTAINER));
  assert.throws(run('{{.State.Nope}}'), /no entry for key "Nope"/);
  assert.throws(run('{{.State.Health.Status}}'), /no entry for key "Status"/);
});

test('versions go by Go’s names and by those of the JSON', () => {
  const data = decode({ Client: { ApiVersion: '1.51' }, Server: null }, VERSIONS);
  assert.equal(
    new Template('{{.Client.APIVersion}} {{.Client.ApiVersion}}{{if .Server}}up{{end}}').execute(data),
    '1.51 1.51',
  );
});
