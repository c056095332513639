package tocsin.bench;

import java.util.Random;

/** A scaled logistic regression over both sides' features. Nothing was learned: what it costs is that of one that was. */
final class LogisticModel {
    private static final double BIAS = -6.0;
    private static final double CLIP = 5.0;

    private final double[] weights = new double[2 * DecayedSums.SIZE];
    private final double[] means = new double[weights.length];
    private final double[] scales = new double[weights.length];

    LogisticModel() {
        Random random = new Random(1);
        for (int at = 0; at < weights.length; at++) {
            weights[at] = 0.1 * random.nextGaussian();
            means[at] = random.nextDouble();
            scales[at] = 1.0 + 1_000.0 * random.nextDouble();
        }
    }

    /** Log-odds that a payment with these features is suspicious. */
    double score(double[] payer, double[] payee) {
        double score = BIAS;
        for (int at = 0; at < weights.length; at++) {
            double value = at < payer.length ? payer[at] : payee[at - payer.length];
            score += weights[at] * Math.max(-CLIP, Math.min(CLIP, (value - means[at]) / scales[at]));
        }
        return score;
    }
}
