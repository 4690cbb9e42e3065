"""Servers that the measurements run: each on a database of its own, whatever settings the caller's environment holds."""
import os, socket, subprocess, time, urllib.request


def start(program, data, port, before=(), output=subprocess.DEVNULL, settings=None, auth="none"):
    """Starts a build of the server and waits until it is ready; `before` is a command that runs it, such as Valgrind's."""
    if socket.socket().connect_ex(("127.0.0.1", port)) == 0:
        raise SystemExit(f"port {port} is taken: what is measured would be another server's")
    command = [*before, program, "serve", "--auth", auth, "--listen", f"127.0.0.1:{port}", "--data-dir", data]
    kept = {name: value for name, value in os.environ.items()
            if name != "DATABASE_URL" and (not name.startswith("CARI_") or name == "CARI_PG_BIN")}
    server = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output, env=kept | (settings or {}))
    for _ in range(300):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ready").close()
            if server.poll() is None:
                return server
        except OSError:
            pass
        if server.poll() is not None:
            break
        time.sleep(0.2)
    server.kill()
    server.wait()
    raise SystemExit(f"{program} did not start on port {port}")
