package servertest

import (
	"fmt"
	"path/filepath"
	"testing"
)

// Rsyslog starts rsyslogd with the inputs
//   - "json" (TCP): one JSON object a line, as Logstash's json_lines codec. [Server.Lines] of
//     "json" are the objects, of "bad" the lines that were none;
//   - "syslog" (TCP, octet counted or a message a line) and "udp": RFC 5424. Lines of "syslog"
//     are the messages as objects with rsyslog's property names.
func Rsyslog(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return start(t, collect(opts), spec{
		name: "rsyslog", part: "debian", program: "rsyslogd", ports: []string{"json", "syslog", "udp"},
		prepare: func(s *Server) error {
			return write(s.dir, "rsyslog.conf", fmt.Sprintf(`
global(workDirectory=%[1]q maxMessageSize="64k")
module(load="imtcp") module(load="imudp") module(load="mmjsonparse")
template(name="object" type="list") { property(name="$!all-json-plain") constant(value="\n") }
template(name="raw" type="list") { property(name="rawmsg") constant(value="\n") }
template(name="message" type="list") { property(name="jsonmesg") constant(value="\n") }
ruleset(name="json") {
  action(type="mmjsonparse" cookie="" useRawMsg="on")
  if $parsesuccess == "OK" then { action(type="omfile" file="%[1]s/json" template="object") }
  else { action(type="omfile" file="%[1]s/bad" template="raw") }
}
ruleset(name="syslog") { action(type="omfile" file="%[1]s/syslog" template="message") }
input(type="imtcp" address="127.0.0.1" port="%[2]d" ruleset="json" SupportOctetCountedFraming="off")
input(type="imtcp" address="127.0.0.1" port="%[3]d" ruleset="syslog")
input(type="imudp" address="127.0.0.1" port="%[4]d" ruleset="syslog")
`, s.dir, s.Port("json"), s.Port("syslog"), s.Port("udp")))
		},
		args: func(s *Server) []string {
			args := []string{"-n", "-f", filepath.Join(s.dir, "rsyslog.conf"), "-i", filepath.Join(s.dir, "rsyslogd.pid")}
			if path, _ := find("rsyslogd"); root(path) != "" {
				if modules, _ := filepath.Glob(filepath.Join(root(path), "lib", "*", "rsyslog")); len(modules) > 0 {
					args = append(args, "-M", modules[0])
				}
			}
			return args
		},
		ready: all(accepts("json"), accepts("syslog"), hears("udp")),
	})
}
