package alerts_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/mail"
	"net/textproto"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/sluice-project/sluice/test/loopback"
)

// A letter is what somebody was told, by whatever way.
type letter struct {
	way     string // webhook, mail, slack, telegram
	to      string // of a mail
	subject string
	text    string
}

// A postbox stands where people and the remediator are: it takes mail, what Slack
// and Telegram would get, and webhooks.
type postbox struct {
	smtp, web string // addresses

	mu      sync.Mutex
	letters []letter
	wrong   []error
}

func newPostbox(t *testing.T) *postbox {
	t.Helper()
	box := &postbox{}
	mails, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	web, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	box.smtp, box.web = mails.Addr().String(), web.Addr().String()
	server := &http.Server{Handler: box}
	var wait sync.WaitGroup
	wait.Go(func() { box.mails(mails, &wait) })
	wait.Go(func() {
		if err := server.Serve(web); !errors.Is(err, http.ErrServerClosed) {
			box.complain(err)
		}
	})
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := mails.Close(); err != nil {
			t.Error(err)
		}
		wait.Wait()
		for _, err := range box.wrong {
			t.Error(err)
		}
	})
	return box
}

func (b *postbox) put(l letter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.letters = append(b.letters, l)
}

func (b *postbox) complain(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrong = append(b.wrong, err)
}

// find returns the letters of a way that have all the texts.
func (b *postbox) find(way string, texts ...string) []letter {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []letter
	for _, l := range b.letters {
		has := l.way == way
		for _, text := range texts {
			has = has && strings.Contains(l.to+"\n"+l.subject+"\n"+l.text, text)
		}
		if has {
			found = append(found, l)
		}
	}
	return found
}

// ServeHTTP answers as Slack and Telegram do, and as the remediator.
func (b *postbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		b.complain(err)
		return
	}
	var answer string
	switch {
	case r.URL.Path == "/webhook":
		b.put(letter{way: "webhook", text: string(body)})
	case r.URL.Path == "/slack":
		var message struct {
			Attachments []struct{ Title, Text string }
		}
		if err := json.Unmarshal(body, &message); err != nil || len(message.Attachments) != 1 {
			b.complain(fmt.Errorf("slack: %s: %w", body, err))
			return
		}
		b.put(letter{"slack", "", message.Attachments[0].Title, message.Attachments[0].Text})
		answer = "ok"
	case strings.HasPrefix(r.URL.Path, "/botnot-a-real-token/sendMessage"):
		var message map[string]any // numbers are text here in some versions
		if err := json.Unmarshal(body, &message); err != nil {
			b.complain(fmt.Errorf("telegram: %s: %w", body, err))
			return
		}
		b.put(letter{"telegram", "", fmt.Sprint(message["chat_id"]), fmt.Sprint(message["text"])})
		answer = `{"ok": true, "result": {"message_id": 1, "date": 1, "chat": {"id": -1000000000000, "type": "group"}}}`
	default:
		b.complain(fmt.Errorf("nobody is at %s", r.URL.Path))
		http.NotFound(w, r)
		return
	}
	if _, err := io.WriteString(w, answer); err != nil {
		b.complain(err)
	}
}

// mails takes mail until the listener is closed.
func (b *postbox) mails(ln net.Listener, wait *sync.WaitGroup) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return // closed
		}
		wait.Go(func() {
			defer c.Close() // what matters was answered
			if err := b.takeMail(c); err != nil && !hungUp(err) {
				b.complain(fmt.Errorf("smtp: %w", err))
			}
		})
	}
}

// hungUp is a sender that was ended in the midst of a mail: whoever waits for that
// one tells of it.
func hungUp(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// takeMail speaks as much SMTP as a sender without log-in and TLS needs.
// Source: RFC 5321, 4.1.1 and 4.2.
func (b *postbox) takeMail(c net.Conn) error {
	say := func(line string) error { _, err := io.WriteString(c, line+"\r\n"); return err }
	in := textproto.NewReader(bufio.NewReader(c))
	if err := say("220 postbox.example.com"); err != nil {
		return err
	}
	for {
		line, err := in.ReadLine()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		answer := "250 ok"
		switch verb {
		case "DATA":
			if err := say("354 go on"); err != nil {
				return err
			}
			l, err := readMail(in.DotReader())
			if err != nil {
				return err
			}
			b.put(l)
		case "QUIT":
			return say("221 bye")
		}
		if err := say(answer); err != nil {
			return err
		}
	}
}

// readMail returns a mail's subject, and its plain and HTML texts one after the other.
func readMail(r io.Reader) (letter, error) {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return letter{}, err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		return letter{}, err
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return letter{}, err
	}
	var text strings.Builder
	for parts := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return letter{"mail", m.Header.Get("To"), subject, text.String()}, nil
		}
		if err != nil {
			return letter{}, err
		}
		if _, err := io.Copy(&text, quotedprintable.NewReader(p)); err != nil {
			return letter{}, err
		}
	}
}
