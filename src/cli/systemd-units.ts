/** The service of the engine. Containers are no part of it: they outlive it. */
export function serviceUnit(launcher: string): string {
  return `[Unit]
Description=Gantry container engine
After=network-online.target nss-lookup.target firewalld.service
Wants=network-online.target
Requires=gantry.socket

[Service]
Type=simple
ExecStart=${quoteWord(launcher)} daemon --host fd://
ExecReload=/bin/kill -s HUP $MAINPID
Restart=always
RestartSec=2
LimitNOFILE=infinity
LimitNPROC=infinity
TasksMax=infinity
Delegate=yes
# Monitors of running containers live in this unit's group until they are moved to their own: leave them alone.
KillMode=process
OOMScoreAdjust=-500

[Install]
WantedBy=multi-user.target
`;
}

/** The service of one user's engine, in that user's service manager. */
export function userServiceUnit(launcher: string): string {
  return `[Unit]
Description=Gantry container engine of this user

[Service]
Type=simple
ExecStart=${quoteWord(launcher)} daemon
ExecReload=/bin/kill -s HUP $MAINPID
Restart=always
RestartSec=2
Delegate=yes
# Containers, their namespaces and their way out outlive the engine.
KillMode=process

[Install]
WantedBy=default.target
`;
}

export function socketUnit(): string {
  return `[Unit]
Description=Gantry container engine's API socket

[Socket]
ListenStream=/run/gantry/gantry.sock
SocketMode=0660
SocketUser=root
SocketGroup=root

[Install]
WantedBy=sockets.target
`;
}

function quoteWord(path: string): string {
  return /[\s"\\]/.test(path) ? `"${path.replace(/["\\]/g, '\\$&')}"` : path;
}
