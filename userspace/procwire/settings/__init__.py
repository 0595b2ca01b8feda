"""Every setting, its default and its meaning, section by section. The only place where defaults are
written down; procwire.config reads what a user changes.
"""

from __future__ import annotations

from procwire.settings.processes import (
    BaselineSettings,
    BlockSettings,
    IcsSettings,
    NewProcessSettings,
)
from procwire.settings.scans import (
    CoverageSettings,
    DatagramSettings,
    PortCoverageSettings,
    ProbeSettings,
    RandomWalkSettings,
    RepeatedSettings,
    ServiceSweepSettings,
    SweepSettings,
)
from procwire.settings.section import Section
from procwire.settings.traffic import ContactSettings, EpisodeSettings, FanOutSettings, FlowSettings


class Settings(Section):
    """All settings, section by section."""

    fanout: FanOutSettings = FanOutSettings()
    contacts: ContactSettings = ContactSettings()
    flows: FlowSettings = FlowSettings()
    sweep: SweepSettings = SweepSettings()
    datagrams: DatagramSettings = DatagramSettings()
    probes: ProbeSettings = ProbeSettings()
    repeated: RepeatedSettings = RepeatedSettings()
    random_walk: RandomWalkSettings = RandomWalkSettings()
    coverage: CoverageSettings = CoverageSettings()
    port_coverage: PortCoverageSettings = PortCoverageSettings()
    service_sweep: ServiceSweepSettings = ServiceSweepSettings()
    ics: IcsSettings = IcsSettings()
    new_process: NewProcessSettings = NewProcessSettings()
    baseline: BaselineSettings = BaselineSettings()
    episodes: EpisodeSettings = EpisodeSettings()
    block: BlockSettings = BlockSettings()
