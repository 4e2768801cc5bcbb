package servertest

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Browser starts a headless Chromium; its port "devtools" speaks the DevTools protocol.
func Browser(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return start(t, collect(opts), spec{
		name: "chromium", part: "browser", program: "chromium", ports: []string{"devtools"}, dsn: "http://%s",
		env: browserEnv(),
		args: func(s *Server) []string {
			return append(headless(s.dir), "--remote-debugging-port="+strconv.Itoa(s.Port("devtools")), "about:blank")
		},
		ready: answers("devtools", "/json/version", "webSocketDebuggerUrl"),
	})
}

// DOM returns a page as it stands after its scripts have run, with two seconds of its time for
// what it fetches.
func DOM(t testing.TB, url string) string {
	t.Helper()
	return visit(t, url, "--virtual-time-budget=2000", "--dump-dom")
}

// Screenshot writes a picture of a page, a PNG of that many pixels, to a file.
func Screenshot(t testing.TB, url, file string, width, height int) {
	t.Helper()
	visit(t, url, "--virtual-time-budget=2000", "--screenshot="+file, "--window-size="+strconv.Itoa(width)+","+strconv.Itoa(height))
}

// visit runs Chromium once and returns what it prints.
func visit(t testing.TB, url string, args ...string) string {
	t.Helper()
	path, err := find("chromium")
	if err != nil {
		missing(t, "chromium", "browser", err)
	}
	dir, err := newDir("chromium")
	if err != nil {
		t.Fatalf("servertest: %v", err)
	}
	defer os.RemoveAll(dir)
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatalf("servertest: %v", err)
	}
	defer out.Close()
	p := process{name: "chromium", dir: dir}
	err = p.finish(command{
		path: path, out: out,
		args: append(append(headless(dir), args...), url),
		env:  append(libraries(path), browserEnv()...),
	})
	if err != nil {
		t.Fatalf("servertest: visit %s: %v", url, err)
	}
	page, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatalf("servertest: %v", err)
	}
	return string(page)
}

// headless returns the flags for a run without a screen, as any user, that keeps to dir.
func headless(dir string) []string {
	return []string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
		"--disable-background-networking", "--user-data-dir=" + filepath.Join(dir, "profile"),
	}
}

// browserEnv points an unpacked Chromium to its fonts.
func browserEnv() []string {
	path, err := find("chromium")
	if err != nil || root(path) == "" {
		return nil
	}
	env := []string{"XDG_DATA_HOME=" + filepath.Join(root(path), "share")}
	if _, err := os.Stat("/etc/fonts/fonts.conf"); err != nil {
		env = append(env, "FONTCONFIG_PATH="+filepath.Join(filepath.Dir(root(path)), "etc", "fonts"))
	}
	return env
}
