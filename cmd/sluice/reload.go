package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// A keeper holds the configuration that is in force, and takes a new one only
// when all of it is good.
type keeper struct {
	logger log.Logger
	apply  func(*loaded) error // puts a good file in force, or leaves all as it was

	hangup chan os.Signal // asked for before anything runs: an early SIGHUP would end us

	one     sync.Mutex // reloads come one after the other
	current atomic.Pointer[loaded]

	successful prometheus.Gauge
	at         prometheus.Gauge
}

func newKeeper(first *loaded, logger log.Logger, reg prometheus.Registerer, apply func(*loaded) error) *keeper {
	k := &keeper{
		logger: logger,
		apply:  apply,
		hangup: make(chan os.Signal, 1),
		successful: promauto.With(reg).NewGauge(prometheus.GaugeOpts{
			Name: "sluice_config_last_reload_successful",
			Help: "Whether the last try to load the configuration succeeded.",
		}),
		at: promauto.With(reg).NewGauge(prometheus.GaugeOpts{
			Name: "sluice_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration in force was loaded.",
		}),
	}
	k.accept(first)
	signal.Notify(k.hangup, syscall.SIGHUP)
	return k
}

func (k *keeper) accept(l *loaded) {
	k.current.Store(l)
	k.successful.Set(1)
	k.at.SetToCurrentTime()
}

// reload reads the file again. A bad one leaves the old configuration in force;
// its mistakes are logged and returned.
func (k *keeper) reload() error {
	k.one.Lock()
	defer k.one.Unlock()
	l, err := k.current.Load().again()
	if err == nil {
		err = k.apply(l)
	}
	if err != nil {
		k.successful.Set(0)
		for _, line := range asMistakes(err) {
			level.Error(k.logger).Log("msg", "configuration not reloaded, the old one stays in force", "err", line)
		}
		return err
	}
	k.accept(l)
	level.Info(k.logger).Log("msg", "configuration reloaded", "file", l.path, "sha256", l.hash, "has", l.summary())
	return nil
}

// onHangup reloads at each SIGHUP, until ctx ends.
func (k *keeper) onHangup(ctx context.Context) error {
	defer signal.Stop(k.hangup)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.hangup:
			_ = k.reload() // logged there; there is nobody else to tell
		}
	}
}
