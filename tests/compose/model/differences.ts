export interface Difference {
  readonly why: string;
  /** Whether ours fails, where that is not as recorded. */
  readonly fails?: boolean;
  readonly stdout?: string;
}

/** Where `config` says otherwise than Docker's Compose 2.40, on purpose, and why. */
export const DIFFERENCES: Readonly<Record<string, Difference | undefined>> = {
  'dotenv: env files kept': {
    why: 'the flag does what it says: env files stay files; Docker reads them all the same',
    stdout: `name: p
services:
  a:
    environment:
      B: "2"
      C: null
    env_file:
      - path: <dir>/one.env
        required: true
      - path: <dir>/two.env
        required: false
    image: x
    networks:
      default: null
networks:
  default:
    name: p_default
`,
  },
  'files: dates and times as texts': {
    why: 'a date in an environment is the text that was written; Docker refuses it',
    fails: false,
    stdout: `name: p
services:
  a:
    environment:
      A: "2024-01-02"
      B: "12:30:45"
      C: "2001-12-14t21:59:43.10-05:00"
    image: x
    networks:
      default: null
networks:
  default:
    name: p_default
`,
  },
  'interpolation: nested default of a set variable': {
    why: 'a default that is not needed is not looked at; Docker demands the variables in it',
    fails: false,
    stdout: `name: p
services:
  a:
    environment:
      A: w
      B: w
    image: x
    networks:
      default: null
networks:
  default:
    name: p_default
`,
  },
  'interpolation: value with line breaks': {
    why: 'a default may span lines',
    fails: false,
    stdout: `name: p
services:
  a:
    environment:
      A: |-
        a
        b
    image: x
    networks:
      default: null
networks:
  default:
    name: p_default
`,
  },
  'service: volumes in long form': {
    why: 'create_host_path: false is said; Docker leaves it out, and a reader of its output would make the directory',
    stdout: `name: p
services:
  a:
    image: x
    networks:
      default: null
    volumes:
      - type: volume
        source: data
        target: /data
        read_only: true
        volume:
          labels:
            a: b
          nocopy: true
          subpath: sub
      - type: bind
        source: <dir>/rel
        target: /rel
        bind:
          selinux: z
          propagation: rslave
          create_host_path: false
          recursive: readonly
      - type: tmpfs
        target: /tmp
        tmpfs:
          size: "10485760"
          mode: 1023
      - type: tmpfs
        target: /run
      - type: image
        source: busybox
        target: /img
        image:
          subpath: bin
      - type: volume
        target: /anon
      - type: bind
        source: /abs
        target: /abs
        consistency: cached
networks:
  default:
    name: p_default
volumes:
  data:
    name: p_data
`,
  },
  'service: a volume of one letter': {
    why: 'v:/data is a volume and a place on every system that has containers; Docker takes the letter for a drive of Windows',
    stdout: `name: p
services:
  a:
    image: x
    networks:
      default: null
    volumes:
      - type: volume
        source: v
        target: /data
        volume: {}
networks:
  default:
    name: p_default
volumes:
  v:
    name: p_v
`,
  },
  'service: an optional dependency that is not there': {
    why: 'a dependency that is not required need not be defined',
    fails: false,
    stdout: `name: p
services:
  a:
    depends_on:
      nowhere:
        condition: service_started
        required: false
    image: x
    networks:
      default: null
networks:
  default:
    name: p_default
`,
  },
  'service: periods as durations': {
    why: 'the specification has periods as durations; Docker takes numbers only',
    fails: false,
    stdout: `name: p
services:
  a:
    cpu_period: 20ms
    cpu_rt_runtime: 400µs
    image: x
    networks:
      default: null
networks:
  default:
    name: p_default
`,
  },
  'service: build contexts, ssh and secrets': {
    why: 'keys are written as they are read; Docker writes what it cannot read again',
    stdout: `name: p
services:
  a:
    build:
      context: <dir>
      dockerfile: Dockerfile
      ssh:
        - default
        - k=/key
      additional_contexts:
        app: https://h/app
        img: docker-image://x
        other: service:b
        res: <dir>/res
      secrets:
        - source: s
        - source: s
          target: t
    networks:
      default: null
  b:
    build:
      context: <dir>/b
      dockerfile: Dockerfile
    networks:
      default: null
networks:
  default:
    name: p_default
secrets:
  s:
    name: p_s
    file: <dir>/s
`,
  },
  'service: networks in full': {
    why: 'the options of an address pool are kept; Docker drops them',
    stdout: `name: p
services:
  a:
    image: x
    networks:
      e: null
      "n": null
networks:
  e:
    name: e
    external: true
  "n":
    name: own
    driver: bridge
    driver_opts:
      a: "1"
    ipam:
      driver: default
      config:
        - subnet: 10.1.0.0/24
          gateway: 10.1.0.1
          ip_range: 10.1.0.128/25
          aux_addresses:
            h: 10.1.0.5
      options:
        o: p
    internal: true
    attachable: true
    labels:
      l: m
    enable_ipv4: true
    enable_ipv6: true
`,
  },
  'service: an external network with more': {
    why: 'the specification has this file invalid; Docker drops the rest in silence',
    fails: true,
  },
  'merge: the same port is there once': {
    why: 'one port is one port whether its number is written as a text or not',
    stdout: `name: p
services:
  a:
    image: x
    networks:
      default: null
    ports:
      - mode: ingress
        host_ip: 127.0.0.1
        target: 80
        published: "80"
        protocol: tcp
networks:
  default:
    name: p_default
`,
  },
  'bad: two services on one port': {
    why: 'one of the two could never start: said before anything is created',
    fails: true,
  },
  'bad: ranges that meet': {
    why: 'one of the two could never start: said before anything is created',
    fails: true,
  },
  'bad: a restart policy that is none': {
    why: 'said with its place, before anything is created; Docker leaves it to the engine',
    fails: true,
  },
};
