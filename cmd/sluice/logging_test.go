package main

import (
	"bytes"
	stdlog "log"
	"os"
	"strings"
	"testing"
)

// What a library says is one line of ours, whatever it quotes, and not shown by default.
func TestLibrariesSpeakIntoOurLog(t *testing.T) {
	t.Cleanup(func() { stdlog.SetOutput(os.Stderr); stdlog.SetFlags(stdlog.LstdFlags) })
	for level, want := range map[string]string{"info": "", "debug": `level=debug library="Unsolicited response: HTTP/1.1 200\r\nlevel=error"` + "\n"} {
		var out bytes.Buffer
		quietLibraries(newLogger(&out, &logFlags{level: level, format: "logfmt"}))
		stdlog.Print("Unsolicited response: HTTP/1.1 200\r\nlevel=error")
		if _, got, _ := strings.Cut(out.String(), " "); got != want { // behind the time
			t.Errorf("%s: %q, want %q", level, got, want)
		}
	}
}
