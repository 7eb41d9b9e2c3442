# koogate in a container: docs/packages.md says how to run it. The program needs no shell and no package of the image: choose
# another by --build-arg RUNTIME=…, such as one that has the program of `fulfilment = "command"`.
ARG RUST=rust:1.95-bookworm
ARG RUNTIME=debian:12-slim

FROM ${RUST} AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked && install -d -m 700 /folder

FROM ${RUNTIME}
# Nobody's number on the host. What runs as another user cannot read the volume.
ARG UID=10001
COPY --from=build /src/target/release/koogate /usr/bin/koogate
COPY --from=build --chown=${UID}:${UID} /folder /var/lib/koogate
USER ${UID}:${UID}
WORKDIR /var/lib/koogate
# Configuration, keys and database. A volume of this machine: SQLite must not lie on a network file system.
VOLUME ["/var/lib/koogate"]
EXPOSE 8443 8444
# A clean stop: calls in flight are answered, a last snapshot is taken. Give it two minutes (docker stop --time 120).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=2m --retries=3 CMD ["/usr/bin/koogate", "healthcheck"]
ENTRYPOINT ["/usr/bin/koogate"]
CMD ["serve"]
