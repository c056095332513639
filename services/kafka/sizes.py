"""How large logs are on the brokers' disks, as the brokers tell it (KIP-113)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from aiokafka.structs import TopicPartition

from services import kafka
from services.kafka.identity import client_of
from services.kafka.protocol import NO_TAGS, answer_of, ask_log_sizes, leader_of
from services.runtime.settings import Settings


async def log_bytes(settings: Settings, topics: Iterable[str]) -> Counter[str]:
    """Bytes of each of ``topics``, one copy of every partition; compressed, as they lie there. Empty where brokers are
    too old to tell (before Kafka 2.6).

    Raises
    ------
    KafkaError
        When a topic has no leader, or a broker does not answer.
    """
    sizes: Counter[str] = Counter()
    async with kafka.opened(kafka.consumer(settings)) as consumer:
        client = client_of(consumer)
        wanted = list(topics)
        await client.set_topics(wanted)
        partitions = {topic: sorted(client.cluster.partitions_for_topic(topic) or ()) for topic in wanted}
        for broker in client.cluster.brokers():
            led = {
                topic: [at for at in ats if leader_of(client, TopicPartition(topic, at)) == broker.nodeId]
                for topic, ats in partitions.items()
            }
            asked = [(topic, ats, NO_TAGS) for topic, ats in led.items() if ats]
            answer = await answer_of(client, broker.nodeId, ask_log_sizes(asked, NO_TAGS)) if asked else None
            for folder in answer["results"] if answer else ():
                for topic in folder["topics"]:
                    sizes[topic["name"]] += sum(each["partition_size"] for each in topic["partitions"])
    return sizes
